"""When a reader's consumer is replaced because a topic may have been deleted and created again. Without Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from filter_service.kafka_source import client_properties
from filter_service.reader import Assignment, Reader
from filter_service.reader_thread import ReaderThread

TOPIC = "acme.one"
OLD, NEW = b"1" * 16, b"2" * 16


class _Nothing:
    """In place of a reader: what reads nothing."""

    positions: dict[tuple[str, int], int] = {}  # noqa: RUF012 (never changed)


@pytest.fixture
def assignment() -> Iterator[Any]:
    """What a reader assigns partitions with; its thread is not started."""
    found: list[Assignment] = []

    def make_reader(assignment: Assignment) -> Reader:
        found.append(assignment)
        return cast(Reader, _Nothing())

    # librdkafka's own broker, within the process, answers at once.
    properties = client_properties("mock", {"test.mock.num.brokers": "1"})
    ReaderThread("reader", make_reader, properties, 1, 1.0, print)
    yield found[0]
    cast(Any, found[0]).close()


@pytest.mark.parametrize(
    ("ids", "is_replaced"),
    [
        pytest.param((OLD, OLD), False, id="the same"),
        pytest.param((OLD, NEW), True, id="another"),
        pytest.param((OLD, b""), False, id="no longer known"),
        pytest.param((b"", OLD), True, id="not known at first"),
        pytest.param((OLD, b"", NEW), True, id="another after a while"),
        pytest.param((b"", OLD, OLD), False, id="known by now"),
    ],
)
def test_a_consumer_that_may_have_met_another_topic_is_replaced(
    assignment: Any, ids: tuple[bytes, ...], is_replaced: bool
) -> None:
    """By the id that comes with the last partition."""
    for partition, topic_id in enumerate(ids):
        before = assignment.consumer
        assignment.assign(TOPIC, partition, 0, topic_id)
    assert (assignment.consumer is not before) == is_replaced
