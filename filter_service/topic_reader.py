"""Turns the records of one topic into batches for the streams that want them.

A `TopicReader` belongs to one reader thread (`live_reader` or `catch_up`) and is only touched by it. It knows, for
every partition it reads, the position (the next offset), and which subscriptions take part there: a subscription may
be level with this reader on one partition and elsewhere (behind, waiting, served by another replica) on the next.

Which records are whose, `topic_rules` says; here is noted per stream which of its subscriptions take a value. Nothing
here blocks, and nothing here knows Kafka's client or gRPC.
"""

from __future__ import annotations

import heapq
import itertools
from bisect import bisect_left
from collections.abc import Iterable, Sequence

import structlog

from filter_service import metrics
from filter_service.outbox import Outbox, Parked, PositionNote
from filter_service.stream_batch import KafkaRecord, Matched, Member, Outlet, Stream, Taker
from filter_service.subscription import Subscription
from filter_service.topic_rules import TopicRules
from runtime.grpc_server import MESSAGE_SIZE_LIMIT

log = structlog.get_logger(__name__)

CHUNK_BYTES = 1024 * 1024
"""Payload bytes after which a batch is cut: what an outbox may hold beyond its limit, for each distinct projection."""

FEW_RECORDS = 10
"""For each subscription that is served records again, up to which the index of all rules is asked. An index of their
own takes 100 to 200 µs for each rule; to ask that of 10,000 rules takes some 10 µs for each record."""

LARGEST_RECORD = MESSAGE_SIZE_LIMIT - 4 * 1024 * 1024
"""Bytes of the largest payload that fits into a gRPC message, with room for the rest of the message."""

Takers = dict[Stream, list[Taker]]
"""For each stream, who of its members take what of a batch."""


class _Partition:
    """Where one partition is, and who does not take part in it."""

    __slots__ = ("absent", "next_offset", "noted", "unnoted", "users", "waiting")

    def __init__(self, next_offset: int) -> None:
        self.next_offset = next_offset
        self.noted = next_offset  # the position last told by `notes`...
        self.unnoted: set[Member] = set()  # ...but not to these, who have joined since or whose stream was full
        self.users = 0  # members that are level or waiting here
        self.absent: set[Member] = set()
        self.waiting: list[tuple[int, int, Member]] = []  # heap of (start, tie-breaker, member)


class TopicReader:
    """All subscriptions of one topic that one reader thread serves.

    Args:
        topic: Kafka topic name.
    """

    _ties = itertools.count()

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self._rules = TopicRules(topic)
        self._members: dict[Subscription, Member] = {}
        self._streams: dict[Outbox, Stream] = {}
        self._partitions: dict[int, _Partition] = {}

    # ---- partitions

    @property
    def partitions(self) -> Iterable[int]:
        """The partitions being read."""
        return self._partitions.keys()

    def position(self, partition: int) -> int | None:
        """The next offset of a partition; None when it is not read."""
        state = self._partitions.get(partition)
        return None if state is None else state.next_offset

    def open_partition(self, partition: int, next_offset: int) -> None:
        """Starts to follow a partition from an offset, without subscriptions."""
        state = self._partitions[partition] = _Partition(next_offset)
        state.absent.update(self._members.values())

    def close_partition(self, partition: int) -> None:
        """Forgets a partition that nobody uses."""
        del self._partitions[partition]

    def is_idle(self, partition: int) -> bool:
        """Whether nobody is level with or waiting on a partition."""
        return self._partitions[partition].users == 0

    # ---- subscriptions

    def attach(self, subscription: Subscription, partition: int, start: int) -> None:
        """Delivers a partition to a subscription from offset `start` on.

        Args:
            start: at or after the partition's position. Records before it are not delivered.

        Raises:
            KeyError: the partition is not read.
            ValueError: `start` has been passed, or the subscription already takes part.
        """
        state = self._partitions[partition]
        if start < state.next_offset:
            raise ValueError(f"{self.topic}[{partition}] is at {state.next_offset}, past {start}")
        member = self._members.get(subscription) or self._add(subscription)
        if partition in member.level or partition in member.waiting:
            raise ValueError(f"subscription {subscription.id} already reads {self.topic}[{partition}]")
        state.users += 1
        if start == state.next_offset:
            self._join(partition, state, member)
        else:
            member.waiting[partition] = start
            heapq.heappush(state.waiting, (start, next(self._ties), member))

    def detach(self, subscription: Subscription, partition: int) -> int | None:
        """Stops delivering a partition to a subscription.

        Returns:
            The subscription's position there; None when it did not take part.
        """
        member = self._members.get(subscription)
        if member is None:
            return None
        state = self._partitions[partition]
        if partition in member.level:
            member.level.remove(partition)
            state.absent.add(member)
            state.unnoted.discard(member)
            position = state.next_offset
        elif partition in member.waiting:
            position = member.waiting.pop(partition)
            state.waiting = [entry for entry in state.waiting if entry[2] is not member]
            heapq.heapify(state.waiting)
        else:
            return None
        state.users -= 1
        if not member.level and not member.waiting:
            self._remove(member)
        return position

    def detach_all(self, subscription: Subscription) -> list[int]:
        """Forgets a subscription; returns the partitions it took part in."""
        member = self._members.get(subscription)
        if member is None:
            return []
        partitions = [*member.level, *member.waiting]
        for partition in partitions:
            self.detach(subscription, partition)
        return partitions

    def level_with(self, partition: int) -> list[Subscription]:
        """The subscriptions whose position is this reader's on a partition."""
        return [member.subscription for member in self._members.values() if partition in member.level]

    def takes_part(self, partition: int) -> list[Subscription]:
        """The subscriptions that are level with or waiting on a partition."""
        return [
            member.subscription
            for member in self._members.values()
            if partition in member.level or partition in member.waiting
        ]

    def _add(self, subscription: Subscription) -> Member:
        stream = self._streams.get(subscription.outbox)
        if stream is None:
            stream = self._streams[subscription.outbox] = Stream(subscription.outbox)
        outlet = stream.outlets.get(subscription.projection)
        if outlet is None:
            outlet = stream.outlets[subscription.projection] = Outlet(
                self._rules.use_projector(subscription.projection)
            )
        outlet.users += 1
        member = self._members[subscription] = Member(subscription, stream, outlet)
        stream.members[subscription] = member
        stream.metadata_users += subscription.with_metadata
        for state in self._partitions.values():
            state.absent.add(member)
        self._rules.add(subscription, member)
        return member

    def _remove(self, member: Member) -> None:
        subscription = member.subscription
        self._rules.remove(subscription, member)
        del self._members[subscription]
        for state in self._partitions.values():
            state.absent.discard(member)
        stream = self._streams[subscription.outbox]
        del stream.members[subscription]
        stream.metadata_users -= subscription.with_metadata
        member.outlet.users -= 1
        if not member.outlet.users:
            del stream.outlets[subscription.projection]
            self._rules.release_projector(subscription.projection)
        if not stream.members:
            del self._streams[subscription.outbox]

    # ---- records

    def read(self, partition: int, messages: Sequence[KafkaRecord]) -> list[Parked]:
        """Delivers records that follow the partition's position.

        Args:
            messages: in order of offset; offsets may have holes. What lies before the position is left out.

        Returns:
            The subscriptions whose stream was full: they are detached here, at the given positions.
        """
        state = self._partitions[partition]
        parked: list[Parked] = []
        begin = bisect_left(messages, state.next_offset, key=_offset)
        is_small = sum(map(len, messages)) <= CHUNK_BYTES
        while begin < len(messages):
            self._pass_to(partition, state, messages[begin].offset())
            end = len(messages) if is_small else _end_of_chunk(messages, begin)
            if state.waiting:
                end = bisect_left(messages, state.waiting[0][0], begin + 1, end, key=_offset)
            parked += self._deliver(partition, state, messages[begin:end])
            begin = end
        self._pass_to(partition, state, state.next_offset)
        return parked

    def replay(
        self, partition: int, behind: Sequence[tuple[Subscription, int]], messages: Sequence[KafkaRecord]
    ) -> list[Parked]:
        """Delivers records that were already read to subscriptions that want them, in one pass, and then attaches
        them at the partition's position.

        Args:
            behind: subscriptions and their positions.
            messages: everything from the lowest of these up to the partition's position, in order; earlier ones are
                left out.

        Returns:
            The subscriptions whose stream was full: they are not attached, but at the given positions.
        """
        if len(messages) <= FEW_RECORDS * len(behind) and sum(map(len, messages)) <= CHUNK_BYTES:
            return self._replay_few(partition, behind, messages)
        alone = TopicReader(self.topic)
        alone.open_partition(partition, min(start for _, start in behind))
        for subscription, start in behind:
            alone.attach(subscription, partition, start)
        parked = alone.read(partition, messages)
        level = self._partitions[partition].next_offset
        alone.pass_holes(partition, level)
        for subscription in alone.level_with(partition):
            self.attach(subscription, partition, level)
        return parked

    def _replay_few(
        self, partition: int, behind: Sequence[tuple[Subscription, int]], messages: Sequence[KafkaRecord]
    ) -> list[Parked]:
        """See `replay`."""
        level = self._partitions[partition].next_offset
        starts: dict[Member, int] = {}
        try:
            for subscription, start in behind:
                starts[self._members.get(subscription) or self._add(subscription)] = start
            begins = {member: bisect_left(messages, start, key=_offset) for member, start in starts.items()}
            takers: Takers = {}
            matched = self._rules.match(partition, messages, starts)
            for entry, places in matched.places.items():
                for member in starts.keys() & entry.members.keys():
                    taken = places[bisect_left(places, begins[member]) :]
                    if taken:
                        takers.setdefault(member.stream, []).append((member, taken))
            full = self._offer(matched, takers, partition, level)
            parked = []
            for member, start in starts.items():
                if member.stream in full:
                    parked.append(Parked(member.subscription, partition, start))
                else:
                    self.attach(member.subscription, partition, level)
            return parked
        finally:
            for member in starts:
                if not member.level and not member.waiting:
                    self._remove(member)

    def pass_holes(self, partition: int, next_offset: int) -> None:
        """Moves the position over offsets that hold no records (end of partition reached)."""
        state = self._partitions[partition]
        if next_offset > state.next_offset:
            self._pass_to(partition, state, next_offset)

    def note_positions(self) -> None:
        """Tells the streams every position that its subscriptions have not been told: moved to, or joined at."""
        for partition, state in self._partitions.items():
            everybody = state.next_offset != state.noted
            if not everybody and not state.unnoted:
                continue
            state.noted = state.next_offset
            for stream in self._streams.values():
                told = [
                    member
                    for member in stream.members.values()
                    if (partition in member.level if everybody else member in state.unnoted)
                ]
                if not told:
                    continue
                subscriptions = [member.subscription for member in told]
                if stream.outbox.offer(PositionNote(subscriptions, partition, state.next_offset)):
                    state.unnoted.difference_update(told)
                else:
                    state.unnoted.update(told)

    def _join(self, partition: int, state: _Partition, member: Member) -> None:
        """Makes a subscription level."""
        member.level.add(partition)
        state.absent.discard(member)
        state.unnoted.add(member)

    def _pass_to(self, partition: int, state: _Partition, offset: int) -> None:
        """Moves the position to `offset`, and makes those who waited for it or an earlier one level."""
        state.next_offset = offset
        while state.waiting and state.waiting[0][0] <= offset:
            _, _, member = heapq.heappop(state.waiting)
            del member.waiting[partition]
            self._join(partition, state, member)

    def _deliver(self, partition: int, state: _Partition, messages: Sequence[KafkaRecord]) -> list[Parked]:
        first = messages[0].offset()
        next_offset = messages[-1].offset() + 1
        if len(messages[0]) > LARGEST_RECORD:  # such a record is a chunk of its own
            metrics.RECORDS_FAILED.inc()
            log.error("record is too large for gRPC", topic=self.topic, partition=partition, offset=first)
            state.next_offset = next_offset
            return []
        if len(state.absent) == len(self._members):  # all who will take part wait for what comes later
            state.next_offset = next_offset
            return []
        matched = self._rules.match(partition, messages)
        absent = state.absent
        takers: Takers = {}
        for entry, places in matched.places.items():
            for member in entry.members:
                if not absent or member not in absent:
                    takers.setdefault(member.stream, []).append((member, places))
        full = self._offer(matched, takers, partition, next_offset)
        state.next_offset = next_offset
        return [parked for stream in full for parked in self._park(partition, stream, first)]

    def _offer(self, matched: Matched, takers: Takers, partition: int, next_offset: int) -> set[Stream]:
        """Gives each stream what its members take; returns those that were full."""
        full = set()
        for stream, its_takers in takers.items():
            batch = stream.batch(matched, its_takers, partition, next_offset)
            if batch is not None:
                metrics.RECORDS_SENT.inc(len(batch.values))
                if not stream.outbox.offer(batch):
                    metrics.DETACHED.inc()
                    full.add(stream)
        self._rules.forget()
        return full

    def _park(self, partition: int, stream: Stream, position: int) -> list[Parked]:
        behind = [member.subscription for member in stream.members.values() if partition in member.level]
        for subscription in behind:
            self.detach(subscription, partition)
        return [Parked(subscription, partition, position) for subscription in behind]


def _offset(message: KafkaRecord) -> int:
    return message.offset()


def _end_of_chunk(messages: Sequence[KafkaRecord], begin: int) -> int:
    """Where to cut `messages`, so that what lies between `begin` and there is about `CHUNK_BYTES` at most."""
    size = 0
    for end in range(begin, len(messages)):
        size += len(messages[end])
        if size > CHUNK_BYTES:
            return max(end, begin + 1)
    return len(messages)
