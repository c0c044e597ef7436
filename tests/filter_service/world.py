"""The readers in a world that stands still: logs in memory instead of Kafka, queues instead of threads.

Everything happens one step at a time, in the order that a test chooses: a reader runs its commands, a consumer delivers
some records, a stream's writer takes what waits. The world checks what every subscription gets, as it gets it, against
the plain truth: from its start on, each record that matches, once, in order; positions that are told are right; what
retention took away is told, and only that.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from filter_service.catch_up import CatchUpPool, CatchUpReader
from filter_service.errors import PositionGoneError
from filter_service.kafka_source import Partition
from filter_service.live_reader import LiveReader
from filter_service.outbox import Batch, Ended, Item, Outbox, PositionNote
from filter_service.reader import Reader
from filter_service.subscription import Subscription
from tests.filter_service.made import TOPIC, KafkaRecord, subscription

QUERIES: list[tuple[str, str, Callable[[int], bytes | None]]] = [
    ("", "", lambda n: payload(n)),
    ("n=gte:0;", "n", lambda n: b'{"n":%d}' % n),
    ("three=eq:1;", "", lambda n: payload(n) if n % 3 == 1 else None),
    ("", "three", lambda n: b'{"three":%d}' % (n % 3) if n % 3 else None),
    ("n=lt:0;", "", lambda n: None),
]
"""`where`, `fields`, and what of a record with a number that means."""


def payload(number: int) -> bytes:
    """What a record with this number holds; every third lacks a member."""
    return b'{"n":%d,"three":%d}' % (number, number % 3) if number % 3 else b'{"n":%d}' % number


class Log:
    """One partition. The number of a record is its offset."""

    def __init__(self) -> None:
        self.records: list[KafkaRecord] = []
        """All there ever were."""
        self.first = 0
        self.end = 0

    def write(self, count: int, hole: int) -> None:
        """Append records, and leave so many offsets without any behind them."""
        self.records += [KafkaRecord(at, payload(at)) for at in range(self.end, self.end + count)]
        self.end += count + hole

    def remove(self, before: int) -> None:
        """What retention does."""
        self.first = max(self.first, min(before, self.end))

    def since(self, offset: int) -> list[KafkaRecord]:
        """The records at or after an offset that are still there."""
        return [record for record in self.records if record.at >= max(offset, self.first)]


class Consumer:
    """What a reader reads with."""

    def __init__(self, logs: dict[Partition, Log]) -> None:
        self._logs = logs
        self.assigned: dict[Partition, int] = {}
        self._ends_told: dict[Partition, int] = {}

    def assign(self, topic: str, partition: int, offset: int, topic_id: bytes) -> None:
        """Of the `Assignment` protocol."""
        assert (topic, partition) not in self.assigned
        self.assigned[topic, partition] = offset

    def unassign(self, topic: str, partition: int) -> None:
        """Of the `Assignment` protocol."""
        del self.assigned[topic, partition]
        self._ends_told.pop((topic, partition), None)

    @property
    def has_something(self) -> bool:
        """Whether `poll` would deliver anything."""
        return any(
            self._ends_told.get(key) != self._logs[key].end or self._logs[key].since(at)
            for key, at in self.assigned.items()
        )

    def poll(self, most: int) -> list[Callable[[Reader], None]]:
        """What a batch holds of each partition: records, then its end or an error. All of it is in hand before the
        reader sees the first, as with the real client."""
        events: list[Callable[[Reader], None]] = []
        for (topic, partition), position in list(self.assigned.items()):
            log = self._logs[topic, partition]
            if position < log.first or position > log.end:
                events.append(self._out_of_range(topic, partition, log))
                continue
            records = log.since(position)[:most]
            if records:
                events.append(self._records(topic, partition, records))
                self.assigned[topic, partition] = position = records[-1].at + 1
            # librdkafka tells each end once, also one that only holes lie before.
            if not log.since(position) and self._ends_told.get((topic, partition)) != log.end:
                events.append(self._end(topic, partition, log.end))
                self.assigned[topic, partition] = log.end
                self._ends_told[topic, partition] = log.end
        return events

    @staticmethod
    def _records(topic: str, partition: int, records: list[KafkaRecord]) -> Callable[[Reader], None]:
        return lambda reader: reader.records(topic, partition, records)

    @staticmethod
    def _end(topic: str, partition: int, end: int) -> Callable[[Reader], None]:
        return lambda reader: reader.reached_end(topic, partition, end)

    @staticmethod
    def _out_of_range(topic: str, partition: int, log: Log) -> Callable[[Reader], None]:
        return lambda reader: reader.out_of_range(topic, partition, log.first, log.end)


class Thread:
    """A reader, its consumer, and what it has been told to do."""

    def __init__(self, consumer: Consumer, reader: Reader) -> None:
        self.consumer = consumer
        self.reader = reader
        self.commands: deque[Callable[[], None]] = deque()

    def run_commands(self, count: int | None = None) -> None:
        """Run some of the commands, or all that are there now."""
        for _ in range(len(self.commands) if count is None else min(count, len(self.commands))):
            self.commands.popleft()()
        self.reader.settle()

    def consume(self, most: int) -> None:
        """Read a batch."""
        for event in self.consumer.poll(most):
            event(self.reader)
        assert self.reader.positions.keys() == self.consumer.assigned.keys()


@dataclass
class Expected:
    """What one subscription must get: per partition, where it stands."""

    subscription: Subscription
    expected: Callable[[int], bytes | None]
    positions: dict[int, int]
    ended: bool = False

    def missed(self, log: Log, partition: int, before: int) -> list[int]:
        """Records it should have got that lie between its position and an offset."""
        position = self.positions[partition]
        return [r.at for r in log.records if position <= r.at < before and self.expected(r.at) is not None]


@dataclass
class Stream:
    """A gRPC stream: its outbox, and what its writer has in hand."""

    outbox: Outbox
    limit: int
    in_hand: deque[Item] = field(default_factory=deque)


class World:
    """Readers, logs, streams and subscriptions.

    :param partitions: of the topic.
    :param catch_up_readers: how many.
    :param stream_limits: bytes of each stream's outbox.
    :param replay_bytes: see `LiveReader`.
    :param turn_bytes, shared_distance: see `catch_up`.
    """

    def __init__(
        self,
        partitions: int,
        catch_up_readers: int,
        stream_limits: list[int],
        replay_bytes: int,
        turn_bytes: int = 100,
        shared_distance: int = 5,
    ) -> None:
        self.logs: dict[Partition, Log] = {(TOPIC, number): Log() for number in range(partitions)}
        self.streams = [Stream(Outbox(limit, lambda: None), limit) for limit in stream_limits]
        self.open: dict[Subscription, Expected] = {}
        self._numbers = 0
        consumer = Consumer(self.logs)
        live = LiveReader(consumer, replay_bytes, lambda *who: self.pool.attach(*who))
        self.live = Thread(consumer, live)
        self.threads = [self.live]
        self.pool = CatchUpPool(live.positions, self.attach, shared_distance)
        for number in range(1, catch_up_readers + 1):
            consumer = Consumer(self.logs)
            thread = Thread(consumer, CatchUpReader(number, consumer, self.pool, turn_bytes))
            self.threads.append(thread)
            self.pool.join(thread.reader.positions, self._attach_to(thread))

    @staticmethod
    def _attach_to(thread: Thread) -> Callable[[Subscription, int, int], None]:
        def attach(subscribed: Subscription, partition: int, start: int) -> None:
            thread.commands.append(lambda: thread.reader.attach(subscribed, partition, start))

        return attach

    # ---- what `subscriptions` does

    def attach(self, subscribed: Subscription, partition: int, start: int, begin: int | None = None) -> None:
        """Hand a partition of a subscription to the live reader."""
        self.live.commands.append(lambda: self.live.reader.attach(subscribed, partition, start, begin))

    def subscribe(self, stream: Stream, query: int, starts: dict[int, int]) -> Subscription:
        """Open a subscription at these offsets, one for each partition it covers."""
        where, fields, expected = QUERIES[query]
        self._numbers += 1
        subscribed = subscription(self._numbers, stream.outbox, where, fields)
        self.open[subscribed] = Expected(subscribed, expected, dict(starts))
        for partition, start in starts.items():
            self.attach(subscribed, partition, start, self._live_begin(self.logs[TOPIC, partition], start))
        return subscribed

    @staticmethod
    def _live_begin(log: Log, start: int) -> int | None:
        """As `offsets.Range.live_begin`, with smaller distances."""
        return None if start < log.end - 6 else max(log.first, min(start, log.end) - 2)

    def close(self, subscribed: Subscription) -> None:
        """Close a subscription."""
        del self.open[subscribed]
        subscribed.closed = True
        for thread in self.threads:
            thread.commands.append(self._forget(thread, subscribed))

    @staticmethod
    def _forget(thread: Thread, subscribed: Subscription) -> Callable[[], None]:
        return lambda: thread.reader.forget(subscribed)

    # ---- what a stream's writer does

    def begin_write(self, stream: Stream) -> None:
        """Take what waits."""
        if not stream.in_hand:
            stream.in_hand.extend(stream.outbox.take())
            if not stream.in_hand:
                self._resume(stream)

    def write(self, stream: Stream, count: int | None = None) -> None:
        """Send some, or all, of what was taken."""
        for _ in range(len(stream.in_hand) if count is None else min(count, len(stream.in_hand))):
            item = stream.in_hand.popleft()
            self._receive(item)
            stream.outbox.sent(item)
        if not stream.in_hand:
            self._resume(stream)

    def _resume(self, stream: Stream) -> None:
        for parked in stream.outbox.take_parked():
            if not parked.subscription.closed:
                self.attach(parked.subscription, parked.partition, parked.position)

    # ---- what a client sees

    def _receive(self, item: Item) -> None:
        if isinstance(item, Batch):
            everything = range(len(item.values))
            assert item.offsets == sorted(item.offsets)
            for subscribed, indexes in item.deliveries:
                if subscribed in self.open:
                    got = [(item.offsets[index], item.values[index]) for index in indexes or everything]
                    self._deliver(self.open[subscribed], item.partition, got)
                    self._move(self.open[subscribed], item.partition, item.next_offset)
        elif isinstance(item, PositionNote):
            for subscribed in item.subscriptions:
                if subscribed in self.open:
                    self._move(self.open[subscribed], item.partition, item.next_offset)
        elif isinstance(item, Ended) and item.subscription in self.open:
            self._end(self.open[item.subscription], item.reason)
            self.close(item.subscription)

    def _deliver(self, to: Expected, partition: int, got: list[tuple[int, bytes]]) -> None:
        log = self.logs[TOPIC, partition]
        for offset, value in got:
            assert offset >= to.positions[partition], f"{offset} came twice"
            assert value == to.expected(offset), f"{offset} is not what was asked for"
            assert to.missed(log, partition, offset) == [], f"{offset} came, but others before it did not"
            to.positions[partition] = offset + 1

    def _move(self, to: Expected, partition: int, next_offset: int) -> None:
        assert next_offset >= to.positions[partition], "a position moved back"
        assert to.missed(self.logs[TOPIC, partition], partition, next_offset) == [], "a position moved past records"
        to.positions[partition] = next_offset

    def _end(self, to: Expected, reason: Exception) -> None:
        assert isinstance(reason, PositionGoneError), reason
        log = self.logs[TOPIC, reason.partition]
        assert reason.wanted < (reason.first or 0) <= log.first
        assert to.missed(log, reason.partition, reason.wanted) == [], "more was lost than was told"

    # ---- all of it

    def check(self) -> None:
        """What holds at any time."""
        for stream in self.streams:
            largest = max((item.size for item in stream.in_hand if isinstance(item, Batch)), default=0)
            # That subscriptions have ended is told in any case, once for each.
            ends = Outbox.ITEM_OVERHEAD * self._numbers
            assert stream.outbox.size <= stream.limit + Outbox.ITEM_OVERHEAD + max(largest, 500) + ends

    def come_to_rest(self) -> None:
        """Let everything happen that can, fairly, until nothing does.

        :raises AssertionError: when that takes so long that it may never end.
        """
        for _ in range(2_000):
            busy = False
            for thread in self.threads:
                busy |= bool(thread.commands) or thread.consumer.has_something or bool(thread.reader.unsettled)
                thread.run_commands()
                thread.consume(3)
            for stream in self.streams:
                busy |= bool(stream.in_hand) or stream.outbox.size > 0
                self.begin_write(stream)
                self.write(stream)
            if not busy:
                for thread in self.threads:
                    thread.reader.note_positions()
                if all(stream.outbox.size == 0 for stream in self.streams):
                    return
        raise AssertionError("no end of it")

    def check_everything_arrived(self) -> None:
        """At rest, every subscription stands at the end of its partitions, or waits beyond it, with the live reader."""
        for each in self.open.values():
            for partition, position in each.positions.items():
                log = self.logs[TOPIC, partition]
                assert each.missed(log, partition, log.end) == []
                assert position >= log.end, f"{each.subscription.id} was not told where it is"
        for thread in self.threads[1:]:
            assert thread.consumer.assigned == {}

    def check_nothing_is_left(self) -> None:
        """At rest, with every subscription closed, nothing is read and nobody waits."""
        assert self.open == {}
        for thread in self.threads:
            assert thread.consumer.assigned == thread.reader.positions == {}
            assert thread.reader.unsettled == 0
        assert not any(self.pool.is_waited_for(key) for key in self.logs)
