"""Batches as sessions are told them: without what lies behind a stop, and without what nobody takes any more. And
answers that go together.
"""

from hypothesis import given
from hypothesis import strategies as st
from kafka_ws.filter.v1 import filter_pb2 as pb

from filter_service.limit import Limit
from filter_service.messages import for_session, join
from filter_service.subscription import Subscription
from tests.filter_service.made import any_batches, delivered, outbox, subscription


@given(st.data())
def test_everybody_gets_what_is_before_its_stop(data: st.DataObject) -> None:
    """Who has closed gets nothing, who has a stop nothing behind it, everybody else all; every value is somebody's."""
    out = outbox()
    takers: list[Subscription] = []
    for number in range(4):
        taker = subscription(number, out)
        stop = data.draw(st.none() | st.integers(0, 20))
        taker.limit = None if stop is None else Limit({3: 0}, {3: stop})
        taker.closed = data.draw(st.booleans())
        takers.append(taker)
    batch = data.draw(any_batches(takers))

    expected = {}
    for number, rows in delivered([batch]).items():
        limit = takers[number].limit
        kept = [row for row in rows if limit is None or row[1] < limit.position(3, row[1] + 1)]
        if kept and not takers[number].closed:
            expected[number] = kept

    told = for_session(batch)
    if not expected:
        assert told is None
        return
    assert isinstance(told, pb.SessionResponse)
    found = told.records.batch
    everything = range(len(found.values))
    assert len(found.offsets) == len(found.timestamps_ms) == len(found.values)
    assert len(found.metadata) == (0 if batch.metadata is None else len(found.values))
    got = {each.subscription_id: list(each.indexes or everything) for each in told.records.deliveries}
    rows = list(zip([found.partition] * len(everything), found.offsets, found.values, strict=True))
    assert {number: [rows[index] for index in indexes] for number, indexes in got.items()} == expected
    assert set().union(*got.values()) == set(everything)
    assert found.next_offset == batch.next_offset


def opened(number: int, where: str = "") -> pb.SessionResponse:
    return pb.SessionResponse(opened=[pb.Opened(subscription_id=number, canonical=pb.Query(where=where))])


def test_answers_go_together() -> None:
    """Small ones that only say what is open, in their order, up to a hundred; nothing else is touched."""
    first = opened(1)
    assert all(join(first, opened(number)) for number in range(2, 101))
    assert [each.subscription_id for each in first.opened] == list(range(1, 101))
    rejected = pb.SessionResponse(rejected=pb.Rejected(subscription_id=9))
    long = opened(9, where="x" * 5000)
    for before, message in ((first, opened(9)), (opened(1), rejected), (rejected, opened(9)), (opened(1), long)):
        kept = before.SerializeToString()
        assert not join(before, message)
        assert before.SerializeToString() == kept
