"""A partition that is said to end before what was read of it, as by a broker that has not heard of the next leader."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from filter_service import reader_thread
from filter_service.kafka_source import client_properties
from filter_service.reader import Assignment, Reader
from filter_service.reader_thread import ReaderThread
from tests.conftest import CreateTopic
from tests.filter_service.test_subscribe import numbered
from tests.kafka.cluster import KafkaCluster
from tests.kafka.records import RecordWriter
from tests.processes import wait_until

PATIENCE_SEC = 30.0
WRITTEN = 5


class Place:
    """In place of a reader: notes what it is told of one partition, which it reads from an offset on."""

    name = "place"
    unsettled = 0

    def __init__(self, topic: str, position: int) -> None:
        self.topic = topic
        self.positions = {(topic, 0): position}
        self.values: list[bytes] = []
        self.ends: list[int] = []

    def records(self, topic: str, partition: int, messages: Sequence[Any]) -> None:
        """Some have come."""
        self.values += [message.value() for message in messages]
        self.positions[topic, partition] = messages[-1].offset() + 1

    def out_of_range(self, topic: str, partition: int, first: int, end: int) -> None:
        """It is believed."""
        self.ends.append(end)
        del self.positions[topic, partition]

    def reached_end(self, topic: str, partition: int, next_offset: int) -> None:
        """There is no more."""

    def settle(self) -> None:
        """Nothing waits."""

    def note_positions(self) -> None:
        """Nobody is told."""


Read = Callable[[int], Place]


@pytest.fixture
def read(kafka: KafkaCluster, create_topic: CreateTopic, records: RecordWriter) -> Iterator[Read]:
    """Reads a topic that has some records, on a reader's thread, from an offset on."""
    threads: list[ReaderThread[Reader]] = []

    def begin(position: int) -> Place:
        place = Place(create_topic(), position)
        records.write_all(place.topic, numbered(0, WRITTEN))
        assignments: list[Assignment] = []

        def make_reader(assignment: Assignment) -> Reader:
            assignments.append(assignment)
            return cast(Reader, place)

        thread = ReaderThread("place", make_reader, client_properties(kafka.bootstrap, {}), 10, 1.0, print)
        threads.append(thread)
        thread.command(lambda: assignments[0].assign(place.topic, 0, position, b""))
        thread.start()
        return place

    yield begin
    for thread in threads:
        thread.stop()


def test_what_was_said_in_error(read: Read, records: RecordWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading goes on where it was, and nobody is told, when the end turns out to be where it should be."""
    monkeypatch.setattr(reader_thread, "DOUBT_SEC", 3600.0)
    with capture_logs() as lines:
        place = read(WRITTEN + 1)
        wait_until(lambda: any(line.get("end") == WRITTEN for line in lines), "the end is doubted", PATIENCE_SEC)
    for number in range(WRITTEN, WRITTEN + 3):
        records.write(place.topic, *numbered(number, 1))
    wait_until(lambda: len(place.values) >= 2, "records behind the end", PATIENCE_SEC)
    assert place.values == numbered(WRITTEN + 1, 2)
    assert not place.ends


def test_what_stays_so(read: Read) -> None:
    """It is believed after a while."""
    place = read(WRITTEN + 100)
    wait_until(lambda: place.ends, "the end is told", PATIENCE_SEC)
    assert place.ends == [WRITTEN]


def test_what_grows(read: Read, records: RecordWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition that records are written to has a leader, who knows where it ends."""
    monkeypatch.setattr(reader_thread, "DOUBT_SEC", 3600.0)
    place = read(WRITTEN + 1_000_000)
    count = itertools.count()

    def is_told() -> bool:
        records.write(place.topic, *numbered(next(count), 1))
        return bool(place.ends)

    wait_until(is_told, "the end is told", PATIENCE_SEC)
    assert WRITTEN < place.ends[0] < WRITTEN + 1_000_000
