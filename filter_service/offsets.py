"""From what a client asks for to offsets: where each partition begins and ends. Event loop; asks Kafka."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from filter_service.errors import InvalidSubscriptionError, PositionGoneError, RequestPart
from filter_service.kafka_source import KafkaLookups, Partition
from filter_service.requests import Edge, Point, Position, Request, Timestamp

LIVE_DISTANCE = 10_000
"""Records from the end of a partition at which live reading may begin, if nobody reads it yet: about a tenth of a
second's work. So whoever comes from a replica that has gone goes on without a detour through the catch-up readers."""

LIVE_MARGIN = 1_000
"""Records before the position of the first who comes, at which live reading begins: filters let partitions fall behind
each other, and the next who comes may have a lower position. What nobody wants is not even parsed."""


@dataclass(frozen=True, slots=True)
class MissingRecords:
    """Records of a partition that are no longer in Kafka.

    Attributes:
        first: first offset that is missing.
        end: first offset that is still there.
    """

    partition: int
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Range:
    """The offsets of one subscription, partition by partition.

    Attributes:
        starts: first offset to deliver.
        stops: offset before which to end; None: never.
        ends: where the partitions end now.
        begins: first offset that there is; empty where that was no question.
        missing: what was asked for and is gone; `starts` lies behind it.
    """

    starts: dict[int, int]
    stops: dict[int, int] | None
    ends: dict[int, int]
    begins: dict[int, int] = field(default_factory=dict)
    missing: list[MissingRecords] = field(default_factory=list)

    def live_begin(self, partition: int) -> int | None:
        """Where live reading may begin for this subscription if nobody reads the partition yet.

        Returns:
            None: too far from the end, it has to catch up first.
        """
        start, end = self.starts[partition], self.ends[partition]
        if start < end - LIVE_DISTANCE:
            return None
        # Others who come from the same replica are a little behind or ahead; `latest` and times are where all begin.
        first = self.begins.get(partition)
        begin = min(start, end)
        return begin if first is None else max(min(first, begin), begin - LIVE_MARGIN)


async def resolve(lookups: KafkaLookups, request: Request, partition_count: int) -> Range:
    """The offsets that a request stands for now.

    Args:
        partition_count: number of partitions the topic has.

    Raises:
        InvalidSubscriptionError: a position names a partition that the topic does not have.
        KafkaUnavailableError: Kafka does not answer.
        PositionGoneError: records asked for are gone, and the request does not skip gaps.
    """
    covered = [number for number in range(partition_count) if request.partitions.covers(number)]
    _check_known("start", request.start, request, partition_count)
    _check_known("stop", request.stop, request, partition_count)
    if isinstance(request.stop, Position):
        covered = [number for number in covered if number in request.stop.offsets]
    partitions: list[Partition] = [(request.topic, number) for number in covered]
    positioned = partitions if isinstance(request.start, Position) else []
    # Both at once: whoever comes from a replica that has gone waits for the answers.
    found = await asyncio.gather(lookups.end_offsets(partitions), lookups.beginning_offsets(positioned))
    ends, begins = map(_by_number, found)
    starts = await _offsets(lookups, partitions, request.start, ends)
    stops = None if request.stop is None else await _offsets(lookups, partitions, request.stop, ends)
    missing: list[MissingRecords] = []
    for number, begin in begins.items():
        if starts[number] >= begin:
            continue
        if not request.skips_gaps:
            raise PositionGoneError(number, starts[number], begin)
        missing.append(MissingRecords(number, starts[number], begin))
        starts[number] = begin
    return Range(starts, stops, ends, begins, missing)


def _check_known(part: RequestPart, point: Point | None, request: Request, partition_count: int) -> None:
    if isinstance(point, Position):
        unknown = [each for each in point.offsets if each >= partition_count and request.partitions.covers(each)]
        if unknown:
            raise InvalidSubscriptionError(part, f"{request.topic} has no partition {min(unknown)}")


async def _offsets(
    lookups: KafkaLookups, partitions: list[Partition], point: Point, ends: dict[int, int]
) -> dict[int, int]:
    if isinstance(point, Position):
        return {number: point.offsets.get(number, 0) for _, number in partitions}
    if isinstance(point, Timestamp):
        return _by_number(await lookups.offsets_at(partitions, point.ms))
    if point is Edge.EARLIEST:
        return _by_number(await lookups.beginning_offsets(partitions))
    return dict(ends)


def _by_number(offsets: dict[Partition, int]) -> dict[int, int]:
    return {number: offset for (_, number), offset in offsets.items()}
