"""The records of one topic become batches: who gets what, what is shared, and what happens when a stream is full."""

import pytest

from filter_service import metrics, topic_reader
from filter_service.outbox import Outbox, Parked
from filter_service.projection import Projection
from filter_service.record import Record
from filter_service.subscription import Subscription
from filter_service.topic_reader import TopicReader
from tests.filter_service.made import TOPIC, KafkaRecord, batches, delivered, notes, numbers, outbox, subscription


def reader(*partitions: int, at: int = 0) -> TopicReader:
    """A reader of these partitions, all at one offset."""
    topic = TopicReader(TOPIC)
    for partition in partitions:
        topic.open_partition(partition, at)
    return topic


def values(of: Outbox) -> dict[int, list[bytes]]:
    """What each subscription gets of everything that waits, by number."""
    return {number: [value for _, _, value in rows] for number, rows in delivered(batches(of)).items()}


def test_a_batch_has_all_columns() -> None:
    """Offsets, timestamps, values, who takes them, and the position behind them."""
    topic, out = reader(3, at=5), outbox()
    taking = subscription(1, out, where="n=neq:6;")
    topic.attach(taking, 3, 5)
    assert topic.read(3, numbers(5, 6, 8)) == []
    (batch,) = batches(out)
    assert (batch.partition, batch.offsets, batch.timestamps) == (3, [5, 8], [1_005, 1_008])
    assert batch.values == [b'{"n":5}', b'{"n":8}']
    assert batch.deliveries == [(taking, None)]
    assert batch.next_offset == 9
    assert batch.metadata is None
    assert batch.size == 14
    assert topic.position(3) == 9


def test_what_is_no_json_object_or_array_is_passed_over() -> None:
    """Tombstones, scalars, bad JSON and empty records move the position, and nothing else."""
    topic, out = reader(0), outbox()
    topic.attach(subscription(1, out), 0, 0)
    payloads = [None, b"", b"7", b"no JSON", b"{}", b"null", b'{"n":6}', b"[]"]
    topic.read(0, [KafkaRecord(at, payload) for at, payload in enumerate(payloads)])
    assert values(out) == {1: [b'{"n":6}']}
    assert topic.position(0) == 8


def test_a_value_is_in_a_stream_once() -> None:
    """Subscriptions of a stream share what they take alike; `None` for indexes says: all of it."""
    topic, out = reader(0), outbox()
    first, second, third, cut, nothing = (
        subscription(1, out),
        subscription(2, out),
        subscription(3, out, where="n=gte:1;"),
        subscription(4, out, fields="m"),
        subscription(5, out, fields="x"),
    )
    for each in (first, second, third, cut, nothing):
        topic.attach(each, 0, 0)
    records = [KafkaRecord(at, b'{"n":%d,"m":0}' % at) for at in range(2)]
    topic.read(0, records)
    (batch,) = batches(out)
    assert sorted(batch.values) == sorted([b'{"n":0,"m":0}', b'{"n":1,"m":0}', b'{"m":0}', b'{"m":0}'])
    assert delivered([batch]) == {
        1: [(0, 0, b'{"n":0,"m":0}'), (0, 1, b'{"n":1,"m":0}')],
        2: [(0, 0, b'{"n":0,"m":0}'), (0, 1, b'{"n":1,"m":0}')],
        3: [(0, 1, b'{"n":1,"m":0}')],
        4: [(0, 0, b'{"m":0}'), (0, 1, b'{"m":0}')],
    }
    for each in (third, cut, nothing):
        topic.detach(each, 0)
    topic.read(0, numbers(2))
    (batch,) = batches(out)
    assert [indexes for _, indexes in batch.deliveries] == [None, None]


class CountingProjection(Projection):
    """Counts how often it is run."""

    __slots__ = ("runs",)

    def apply(self, record: Record) -> bytes | None:
        """Cuts, and counts."""
        self.runs = getattr(self, "runs", 0) + 1
        return super().apply(record)


def test_a_projection_is_run_once_per_record() -> None:
    """However many streams and subscriptions want it, and only for records that some of them takes."""
    topic, outs = reader(0, 1), [outbox(), outbox(), outbox()]
    example = subscription(0, outs[0], fields="n")
    assert example.projection is not None
    counting = CountingProjection(example.projection.selection)
    for number, out in enumerate([*outs, *outs]):
        rule = subscription(number, out, where="n=gte:3;").rule
        each = Subscription(number, TOPIC, rule, counting, False, out)
        for partition in (0, 1):
            topic.attach(each, partition, 0)
    topic.read(0, numbers(*range(5)))
    topic.read(1, numbers(*range(5)))
    assert counting.runs == 4
    for number, out in enumerate(outs):
        expected = [b'{"n":3}', b'{"n":4}'] * 2
        assert values(out) == {number: expected, number + 3: expected}


def test_equal_offsets_in_two_partitions() -> None:
    """What is known of a record, kept or nothing left, is not taken for another one with its offset elsewhere."""
    topic, out = reader(0, 1), outbox()
    one = subscription(1, out, fields="n")
    for partition in (0, 1):
        topic.attach(one, partition, 0)
    topic.read(0, [KafkaRecord(0, b'{"m":0}')])
    topic.read(1, numbers(0))
    topic.read(0, numbers(1))
    topic.read(1, [KafkaRecord(1, b'{"n":11}')])
    assert values(out) == {1: [b'{"n":0}', b'{"n":1}', b'{"n":11}']}


class FailingProjection(Projection):
    """A projection with a fault."""

    __slots__ = ()

    def apply(self, record: Record) -> bytes | None:
        """Fails."""
        raise ZeroDivisionError


def test_a_record_that_fails() -> None:
    """A fault costs the record for those subscriptions whose projection it is, is counted, and stops nobody else."""
    topic, out = reader(0), outbox()
    example = subscription(0, out, fields="n")
    assert example.projection is not None
    failing = FailingProjection(example.projection.selection)
    topic.attach(Subscription(1, TOPIC, example.rule, failing, False, out), 0, 0)
    topic.attach(subscription(2, out), 0, 0)
    before = metrics.RECORDS_FAILED._value.get()
    topic.read(0, numbers(0, 1))
    assert values(out) == {2: [b'{"n":0}', b'{"n":1}']}
    assert metrics.RECORDS_FAILED._value.get() == before + 2
    assert topic.position(0) == 2


def test_a_record_that_no_message_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left out and counted; the records around it are delivered."""
    monkeypatch.setattr(topic_reader, "LARGEST_RECORD", 1_000)
    monkeypatch.setattr(topic_reader, "CHUNK_BYTES", 500)
    topic, out = reader(0), outbox()
    topic.attach(subscription(1, out), 0, 0)
    before = metrics.RECORDS_FAILED._value.get()
    large = KafkaRecord(1, b'{"n":"%s"}' % (b"x" * 1_000))
    topic.read(0, [*numbers(0), large, *numbers(2)])
    assert values(out) == {1: [b'{"n":0}', b'{"n":2}']}
    assert metrics.RECORDS_FAILED._value.get() == before + 1


def test_metadata() -> None:
    """Key and headers are kept for a stream in which somebody wants them, and count as bytes."""
    topic, plain, rich = reader(0), outbox(), outbox()
    topic.attach(subscription(1, plain), 0, 0)
    topic.attach(subscription(1, rich), 0, 0)
    wanting = subscription(2, rich, with_metadata=True)
    topic.attach(wanting, 0, 0)
    topic.read(0, [KafkaRecord(0, b'{"n":0}', b"key", (("h", None), ("h", b"12345")))])
    (batch,) = batches(plain)
    assert batch.metadata is None
    (batch,) = batches(rich)
    assert batch.metadata is not None
    assert [(one.key, one.headers) for one in batch.metadata] == [(b"key", (("h", None), ("h", b"12345")))]
    assert batch.size == len(b'{"n":0}') + len("key") + len("hh12345")
    topic.detach(wanting, 0)
    topic.read(0, numbers(1))
    (batch,) = batches(rich)
    assert batch.metadata is None


def test_indexes_count_as_bytes() -> None:
    """Thousands of subscriptions that take some records each are not free."""
    topic, out = reader(0), outbox()
    for number in range(1, 101):
        topic.attach(subscription(number, out, where=f"n=in:{number % 10};"), 0, 0)
    topic.read(0, numbers(*range(10)))
    (batch,) = batches(out)
    assert batch.size == 10 * len(b'{"n":0}') + 8 * 100


def test_joining_later() -> None:
    """A subscription that starts ahead gets nothing before its start, holes or not."""
    topic, out = reader(0), outbox()
    for number, start in enumerate((0, 3, 4, 7)):
        topic.attach(subscription(number, out), 0, start)
    topic.read(0, numbers(0, 1, 3, 5, 6, 7))
    got = {number: [offset for _, offset, _ in rows] for number, rows in delivered(batches(out)).items()}
    assert got == {0: [0, 1, 3, 5, 6, 7], 1: [3, 5, 6, 7], 2: [5, 6, 7], 3: [7]}


def test_joining_where_it_cannot() -> None:
    """A start that has been passed, a second start, and a partition that is not read are refused."""
    topic, out = reader(0, at=5), outbox()
    one = subscription(1, out)
    with pytest.raises(ValueError, match="past 4"):
        topic.attach(one, 0, 4)
    with pytest.raises(KeyError):
        topic.attach(one, 1, 4)
    topic.attach(one, 0, 5)
    for start in (5, 6):
        with pytest.raises(ValueError, match="already"):
            topic.attach(one, 0, start)


def test_leaving() -> None:
    """`detach` tells the position, and a partition that nobody uses is idle."""
    topic, out = reader(0, 1), outbox()
    level, ahead = subscription(1, out), subscription(2, out)
    topic.attach(level, 0, 0)
    topic.attach(level, 1, 9)
    topic.attach(ahead, 0, 7)
    topic.read(0, numbers(0, 1))
    assert topic.detach(ahead, 0) == 7
    assert topic.detach(ahead, 0) is None
    assert not topic.is_idle(0)
    assert sorted(topic.detach_all(level)) == [0, 1]
    assert topic.detach_all(level) == []
    assert topic.is_idle(0)
    assert topic.is_idle(1)
    batches(out)
    topic.read(0, numbers(2))
    assert batches(out) == []


def test_records_that_come_again_are_left_out() -> None:
    """What lies before the position was delivered."""
    topic, out = reader(0), outbox()
    topic.attach(subscription(1, out), 0, 0)
    topic.read(0, numbers(0, 1, 2))
    topic.read(0, numbers(1, 2))
    topic.read(0, numbers(2, 3))
    assert values(out) == {1: [b'{"n":%d}' % number for number in range(4)]}


def test_a_full_stream_is_detached() -> None:
    """All its subscriptions of the partition leave, at the first record that it did not take; others go on."""
    topic, full, other = reader(0, 1), outbox(limit=300), outbox()
    one, two, elsewhere, ahead = (subscription(number, full) for number in range(1, 5))
    topic.attach(one, 0, 0)
    topic.attach(two, 0, 0)
    topic.attach(elsewhere, 1, 0)
    topic.attach(ahead, 0, 50)
    topic.attach(subscription(1, other), 0, 0)
    assert topic.read(0, numbers(0, 1)) == []
    assert topic.read(0, numbers(2)) == []
    parked = topic.read(0, numbers(4, 5))
    assert sorted(parked, key=lambda each: each.subscription.id) == [Parked(one, 0, 4), Parked(two, 0, 4)]
    assert topic.read(0, numbers(6)) == []
    assert topic.level_with(1) == [elsewhere]
    assert ahead in topic.takes_part(0)
    assert values(full)[1] == [b'{"n":0}', b'{"n":1}', b'{"n":2}']
    assert values(other)[1][-1] == b'{"n":6}'


def test_a_large_batch_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outbox holds at most one piece of it beyond its limit, and the stream leaves between two pieces."""
    monkeypatch.setattr(topic_reader, "CHUNK_BYTES", 1_000)
    topic, full = reader(0), outbox(limit=2_000)
    one = subscription(1, full)
    topic.attach(one, 0, 0)
    records = [KafkaRecord(at, b'{"n":%d,"padding":"%s"}' % (at, b"x" * 200)) for at in range(40)]
    (parked,) = topic.read(0, records)
    found = batches(full)
    assert [len(batch.values) for batch in found] == [4] * len(found)
    assert full.size <= 2_000 + 1_000 + Outbox.ITEM_OVERHEAD
    assert parked == Parked(one, 0, found[-1].next_offset)
    assert topic.position(0) == 40


def test_positions_are_told() -> None:
    """Where a partition has moved, everybody level is told once; one who joins is told where that is."""
    topic, out, other = reader(0, 1), outbox(), outbox()
    one, two, ahead = subscription(1, out), subscription(2, out, where="n=lt:0;"), subscription(3, out)
    topic.attach(one, 0, 0)
    topic.attach(two, 0, 0)
    topic.attach(two, 1, 0)
    topic.attach(ahead, 0, 9)
    topic.attach(subscription(1, other), 1, 0)
    topic.note_positions()
    assert notes(out) == [([1, 2], 0, 0), ([2], 1, 0)]
    assert notes(other) == [([1], 1, 0)]
    topic.note_positions()
    assert notes(out) == notes(other) == []
    topic.read(0, numbers(0, 1))
    topic.pass_holes(0, 4)
    topic.note_positions()
    assert notes(out) == [([1, 2], 0, 4)]
    assert notes(other) == []
    late = subscription(4, other)
    topic.attach(late, 0, 4)
    topic.pass_holes(0, 3)
    topic.note_positions()
    assert notes(out) == []
    assert notes(other) == [([4], 0, 4)]


def test_a_position_that_found_the_stream_full() -> None:
    """It is told again when there is room, though nothing has moved since."""
    topic, out = reader(0), outbox(limit=200)
    topic.attach(subscription(1, out, where="n=lt:0;"), 0, 0)
    topic.note_positions()
    topic.read(0, numbers(0))
    topic.note_positions()
    (item,) = out.take()
    out.sent(item)
    topic.note_positions()
    assert notes(out) == [([1], 0, 1)]
    topic.note_positions()
    assert notes(out) == []


@pytest.fixture(params=[0, topic_reader.FEW_RECORDS], ids=["own index", "index of all"])
def _either_index(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_reader, "FEW_RECORDS", request.param)


@pytest.mark.usefixtures("_either_index")
def test_a_replay() -> None:
    """Those who are behind get what they missed in one pass, once, and are level then; others get nothing twice."""
    topic, out = reader(0), outbox()
    present = subscription(1, out)
    topic.attach(present, 0, 0)
    records = numbers(0, 1, 3, 4)
    topic.read(0, records)
    topic.pass_holes(0, 7)
    batches(out)
    behind = [(subscription(2, out), 1), (subscription(3, out), 2), (subscription(4, out), 6)]
    assert topic.replay(0, behind, records) == []
    got = {number: [offset for _, offset, _ in rows] for number, rows in delivered(batches(out)).items()}
    assert got == {2: [1, 3, 4], 3: [3, 4]}
    topic.read(0, numbers(7))
    assert set(values(out)) == {1, 2, 3, 4}


@pytest.mark.usefixtures("_either_index")
def test_a_replay_cuts_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each for its projection, and only for those who are behind."""
    applied: list[tuple[str, bytes]] = []
    apply = Projection.apply

    def noted(projection: Projection, record: Record) -> bytes | None:
        applied.append((repr(projection), record.text))
        return apply(projection, record)

    topic, out = reader(0), outbox()
    topic.attach(subscription(1, out, fields="m"), 0, 0)
    records = numbers(0, 1, 2)
    topic.read(0, records)
    monkeypatch.setattr(Projection, "apply", noted)
    behind = [
        (subscription(2, out, where="n=gte:1;", fields="n"), 0),
        (subscription(3, out, fields="n"), 2),
        (subscription(4, out), 1),
    ]
    topic.replay(0, behind, records)
    got = {number: [(offset, value) for _, offset, value in rows] for number, rows in delivered(batches(out)).items()}
    cut = [(1, b'{"n":1}'), (2, b'{"n":2}')]
    assert got == {2: cut, 3: cut[1:], 4: cut}
    assert len(applied) == len(set(applied))
    assert {projection for projection, _ in applied} == {"Projection('n')"}


@pytest.mark.usefixtures("_either_index")
def test_a_replay_that_finds_a_stream_full() -> None:
    """Who has no room is told where it stands, and is not in the way of the others, nor left in the index."""
    topic, full, other = reader(0), outbox(limit=0), outbox()
    records = numbers(0, 1, 2, 3)
    topic.attach(subscription(9, other), 0, 0)
    topic.read(0, records)
    batches(other)
    slow, slower, quick = subscription(1, full), subscription(2, full, where="n=gte:3;"), subscription(3, other)
    parked = topic.replay(0, [(slow, 1), (slower, 2), (quick, 3)], records)
    told = {each.subscription: each.position for each in parked}
    assert told[slow] == 1
    assert told[slower] in (2, 3)  # it takes nothing of 2
    assert len(parked) == 2
    assert {number: [row[1] for row in rows] for number, rows in delivered(batches(other)).items()} == {3: [3]}
    assert topic.takes_part(0)[1:] == [quick]
    assert topic.detach_all(slow) == []
    topic.read(0, numbers(4))
    assert set(values(other)) == {9, 3}


def test_a_replay_into_a_full_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever does not fit is told where it stands, which is behind the pieces that did fit."""
    monkeypatch.setattr(topic_reader, "CHUNK_BYTES", 20)
    topic, full, other = reader(0), outbox(limit=500), outbox()
    records = numbers(*range(8))
    topic.attach(subscription(9, other), 0, 0)
    topic.read(0, records)
    slow, quick = subscription(1, full), subscription(2, other)
    (parked,) = topic.replay(0, [(slow, 0), (quick, 3)], records)
    assert (parked.subscription, parked.partition) == (slow, 0)
    got = values(full)[1]
    assert got == [b'{"n":%d}' % number for number in range(parked.position)]
    assert 0 < parked.position < 8
    assert values(other)[2] == [b'{"n":%d}' % number for number in range(3, 8)]
    assert topic.takes_part(0)[1:] == [quick]
