"""Brokers that die, stop and return while clients are connected. Three real brokers, over the whole path."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from tests.conftest import MakeStack, StartKafka
from tests.end_to_end.test_positions import numbered
from tests.kafka.records import RecordWriter
from tests.stack.client import Socket

PARTITIONS = 3
TOPIC = "admin.leaders"


async def in_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What blocks, away from the event loop."""
    return await asyncio.to_thread(function, *args, **kwargs)


async def test_leaders_change(make_stack: MakeStack, start_kafka: StartKafka) -> None:
    """A leader is killed, returns, and another one stops in order: each record comes once, in order, and no socket is
    closed; a client that connects in between gets all of it as well."""
    kafka = await in_thread(start_kafka, 3)
    stack = await in_thread(
        make_stack, bootstrap=kafka.bootstrap, settings={"KAFKA_WS_SERVER_UNAVAILABLE_TIMEOUT_SEC": "120"}
    )
    await in_thread(kafka.create_topic, TOPIC, PARTITIONS)
    records = RecordWriter(kafka.bootstrap)
    client = stack.client()
    is_over = asyncio.Event()
    total = 0

    async def produce() -> None:
        nonlocal total
        while not is_over.is_set():
            for partition in range(PARTITIONS):
                await in_thread(records.write_all, TOPIC, numbered(total, 20), partition=partition)
            total += 20

    async def read(socket: Socket) -> dict[int, list[int]]:
        found: dict[int, list[int]] = defaultdict(list)
        while not is_over.is_set() or sum(map(len, found.values())) < total * PARTITIONS:
            message = await socket.value(120)
            if "offset" in message:
                found[message["partition"]].append(message["value"]["n"])
        return found

    async with asyncio.TaskGroup() as tasks:
        format_record = {"format": "record"}
        sockets = [await client.connect(TOPIC, parameters=format_record) for _ in range(2)]
        reading = [tasks.create_task(read(socket)) for socket in sockets]
        tasks.create_task(produce())
        leader = await in_thread(kafka.leader, TOPIC)
        await in_thread(kafka.kill, leader)
        before = total
        while total < before + 100:  # noqa: ASYNC110 - the next leader takes records
            await asyncio.sleep(0.05)
        sockets.append(await client.connect(TOPIC, parameters={"from": "earliest", **format_record}))
        reading.append(tasks.create_task(read(sockets[-1])))
        await in_thread(kafka.restart, leader)
        await in_thread(kafka.restart, await in_thread(kafka.leader, TOPIC))
        before = total
        while total < before + 100:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        is_over.set()
    for task in reading:
        assert [task.result()[partition] for partition in range(PARTITIONS)] == [list(range(total))] * PARTITIONS
    for socket in sockets:
        await socket.close()
