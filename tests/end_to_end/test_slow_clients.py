"""Who does not keep up: a WebSocket, an edge. Memory stays bounded, others do not wait, nothing is lost silently."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.conftest import CreateTopic, MakeStack
from tests.end_to_end.test_positions import numbered, numbers, records_of, rest
from tests.kafka.cluster import KafkaCluster
from tests.kafka.records import RecordWriter
from tests.processes import free_port, wait_until
from tests.prometheus import metric
from tests.stack.client import CloseEvent, Socket
from tests.stack.stack import Stack

LITTLE = {
    "KAFKA_WS_SERVER_SLOW_CONSUMER_HIGH_MARK": str(64 * 1024),
    "KAFKA_WS_SERVER_SLOW_CONSUMER_LOW_MARK": str(16 * 1024),
    "KAFKA_WS_SERVER_WRITE_LIMIT": str(32 * 1024),
    "KAFKA_WS_SERVER_SEND_BUFFER": str(64 * 1024),
    "KAFKA_WS_FILTER_REPLAY_BYTES": "0",
}
"""Settings with which a client that does not read is soon behind."""

LAGGING = "kafka_ws_edge_lagging_connections"
LAG = "kafka_ws_edge_longest_lag_offsets"
PATIENCE_SEC = 60.0

MANY = 6_000
"""Padded records that are more than a connection holds that nobody reads."""


def padded(first: int, count: int) -> list[bytes]:
    """Numbered records of 5 KB."""
    return [b'{"n":%d,"padding":"%s"}' % (number, b"x" * 5_000) for number in range(first, first + count)]


async def in_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What blocks, away from the event loop."""
    return await asyncio.to_thread(function, *args, **kwargs)


async def measured_stack(
    make_stack: MakeStack, tier: str, settings: dict[str, str], edges: int = 1
) -> tuple[Stack, int]:
    """A system, and the port of the Prometheus endpoint of the one process of a tier."""
    stack = await in_thread(make_stack, settings=settings, edges=edges, start=False)
    port = free_port()
    stack.tier_settings[tier]["KAFKA_WS_METRICS_PORT"] = str(port)
    await in_thread(stack.start)
    return stack, port


async def unread(stack: Stack, topic: str, **parameters: str) -> Socket:
    """A WebSocket that is not read from."""
    socket = await stack.client().connect(topic, parameters=parameters)
    socket.connection.transport.pause_reading()
    return socket


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait, without holding up the event loop."""
    await in_thread(wait_until, condition, what, PATIENCE_SEC)


async def test_a_client_that_takes_nothing(
    make_stack: MakeStack, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """It is seen to lag, is closed with 4429 after the configured time, and resumes with what it has not got."""
    stack, port = await measured_stack(make_stack, "edge", {**LITTLE, "KAFKA_WS_SERVER_SLOW_CONSUMER_TIMEOUT_SEC": "3"})
    topic = create_topic()
    assert metric(port, LAGGING) == metric(port, LAG) == 0
    stalled = await unread(stack, topic, format="record")
    async with await stack.client().connect(topic) as quick:
        await in_thread(records.write_all, topic, padded(0, MANY))
        await until(lambda: metric(port, LAGGING) == 1 and metric(port, LAG) > 0, "it lags")
        await until(lambda: metric(port, LAGGING) == 0, "it is given up")
        assert metric(port, LAG) == 0
        stalled.connection.transport.resume_reading()
        values, close = await rest(stalled)
        assert close == CloseEvent(4429, "Slow consumer")
        got = [value for value in values if "offset" in value]
        assert [value["offset"] for value in got] == list(range(len(got)))
        assert 0 < len(got) < MANY
        parameters = {"from": values[-1]["position"], "format": "record"}
        async with await stack.client().connect(topic, parameters=parameters) as again:
            found = await records_of(again, MANY - len(got))
        assert [value["offset"] for value in found] == list(range(len(got), MANY))
        assert await numbers(quick, MANY) == list(range(MANY))


async def test_retention_overtakes_a_slow_client(
    make_stack: MakeStack, create_topic: CreateTopic, records: RecordWriter, kafka: KafkaCluster
) -> None:
    """What was deleted before it could be taken is told: 4410 with partition and first offset, or a gap."""
    stack, port = await measured_stack(make_stack, "edge", LITTLE)
    topic, first = create_topic(), MANY - 100
    ending = await unread(stack, topic)
    going_on = await unread(stack, topic, format="record", on_gap="continue")
    await in_thread(records.write_all, topic, padded(0, MANY))
    await until(lambda: metric(port, LAGGING) == 2, "both lag")
    await in_thread(kafka.delete_records, topic, first)
    ending.connection.transport.resume_reading()
    values, close = await rest(ending)
    assert [value["n"] for value in values] == list(range(len(values)))
    assert len(values) < first
    assert close == CloseEvent(4410, f"partition 0: offset {len(values)} is gone, first offset is {first}")
    going_on.connection.transport.resume_reading()
    offsets: list[int] = []
    gaps: list[dict[str, int]] = []
    while not offsets or offsets[-1] < MANY - 1:
        value = await going_on.value()
        if "gap" in value:
            gaps.append(value["gap"])
            assert gaps == [{"partition": 0, "from": len(offsets), "to": first}]
        elif "offset" in value:
            offsets.append(value["offset"])
    assert offsets == [*range(gaps[0]["from"]), *range(first, MANY)]
    await in_thread(records.write_all, topic, numbered(MANY, 3))
    assert [value["offset"] for value in await records_of(going_on, 3)] == list(range(MANY, MANY + 3))
    await going_on.close()


async def test_an_edge_that_takes_nothing(
    make_stack: MakeStack, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """While an edge is stopped the filter keeps little for it, and serves the others; then its clients get all."""
    limit = 1024 * 1024
    stack, port = await measured_stack(
        make_stack, "filter_service", {"KAFKA_WS_FILTER_OUTBOX_BYTES": str(limit)}, edges=2
    )
    topic = create_topic(partitions=2)
    held, free = await stack.client(1).connect(topic), await stack.client(2).connect(topic)
    stack.pause("edge-1")
    try:
        writing = asyncio.gather(
            *(in_thread(records.write_all, topic, padded(0, MANY), partition=partition) for partition in range(2))
        )
        highest = 0.0
        reading = asyncio.create_task(numbers(free, 2 * MANY))
        while not (writing.done() and reading.done()):
            highest = max(highest, await in_thread(metric, port, "kafka_ws_filter_outbox_bytes"))
        assert sorted(await reading) == sorted([*range(MANY)] * 2)
        assert await in_thread(metric, port, "kafka_ws_filter_detached_total") > 0
        # Two streams, each with its limit and a batch of some more than a mebibyte.
        assert highest <= 2 * (limit + 1.5 * 1024 * 1024)
    finally:
        stack.resume("edge-1")
    assert sorted(await numbers(held, 2 * MANY)) == sorted([*range(MANY)] * 2)
    await in_thread(records.write_all, topic, numbered(MANY, 3))
    assert await numbers(held, 3) == await numbers(free, 3) == [MANY, MANY + 1, MANY + 2]
    await held.close()
    await free.close()
