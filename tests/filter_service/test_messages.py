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
    return pb.SessionResponse(opened=pb.Opened(subscription_id=number, canonical=pb.Query(where=where)))


def test_answers_go_together() -> None:
    """Small ones, in their order, up to a hundred; what is large goes alone."""
    answers = [
        opened(number) if number % 3 else pb.SessionResponse(completed=pb.Completed(subscription_id=number))
        for number in range(100)
    ]
    joined: pb.SessionResponse | None = answers[0]
    for answer in answers[1:]:
        assert joined is not None
        joined = join(joined, answer)
    assert joined is not None
    assert list(joined.several.responses) == answers
    large = opened(9, where="x" * 5000)
    for before, message in ((joined, opened(9)), (opened(1), large), (large, opened(9))):
        kept = before.SerializeToString()
        assert join(before, message) is None
        assert before.SerializeToString() == kept
