"""SIGTERM to each tier while it is at work: clients go on elsewhere, and nothing is lost."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.conftest import CreateTopic, MakeStack
from tests.end_to_end.test_positions import numbered, numbers
from tests.kafka.records import RecordWriter
from tests.stack.client import Client, Socket
from tests.stack.stack import TICKET, Stack

PARTITIONS = 3


async def in_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What blocks, away from the event loop."""
    return await asyncio.to_thread(function, *args, **kwargs)


class Follower:
    """A client that keeps the last position it was told, and goes on with it at the next edge when it is sent away.

    :param edge: number of the one it begins at.
    """

    def __init__(self, stack: Stack, topic: str, edge: int) -> None:
        self._stack = stack
        self._topic = topic
        self._edge = edge
        self._position = ""
        self.knows_where = asyncio.Event()
        """Set once it could go on elsewhere."""
        self.values: dict[int, list[int]] = defaultdict(list)
        self.codes: list[int] = []

    async def follow(self, total: int) -> None:
        """Take so many records of each partition."""
        while any(len(self.values[partition]) < total for partition in range(PARTITIONS)):
            parameters = {"format": "record", **({"from": self._position} if self._position else {})}
            client, self._edge = self._stack.client(self._edge), 3 - self._edge
            try:
                socket = await client.connect(self._topic, ticket=await self._ticket(client), parameters=parameters)
            except (InvalidStatus, OSError):
                continue  # it is away, or about to go
            async with socket:
                try:
                    await self._read(socket, total)
                except ConnectionClosed:
                    self.codes.append((await socket.closed()).code)

    async def _ticket(self, client: Client) -> str:
        response = await client.request_ticket(f"Bearer {client.tokens.token('admin')}")
        if response.status != 200:
            raise ConnectionRefusedError
        return str(response.json()["ticket"])

    async def _read(self, socket: Socket, total: int) -> None:
        while any(len(self.values[partition]) < total for partition in range(PARTITIONS)):
            message = await socket.value()
            self._position = message["position"]
            self.knows_where.set()
            if "offset" in message:
                self.values[message["partition"]].append(message["value"]["n"])


async def test_edges_drain(make_stack: MakeStack, create_topic: CreateTopic, records: RecordWriter) -> None:
    """Each edge in turn says 1001 under load; clients resume at the other one, with every record once, in order."""
    stack = await in_thread(make_stack, edges=2)
    topic, total = create_topic(partitions=PARTITIONS), 400
    followers = [Follower(stack, topic, 1 + number % 2) for number in range(6)]
    codes: list[int | None] = []

    async def produce() -> None:
        for follower in followers:
            await follower.knows_where.wait()
        for first in range(0, total, 5):
            for partition in range(PARTITIONS):
                await in_thread(records.write_all, topic, numbered(first, 5), partition=partition)

    async def drain() -> None:
        for follower in followers:
            await follower.knows_where.wait()
        for name in ("edge-1", "edge-2"):
            codes.append(await in_thread(stack.stop_one, name))
            await in_thread(stack.start_one, name)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(produce())
        tasks.create_task(drain())
        for follower in followers:
            tasks.create_task(follower.follow(total))
    assert codes == [0, 0]
    for follower in followers:
        assert [follower.values[partition] for partition in range(PARTITIONS)] == [list(range(total))] * PARTITIONS
    told = [code for follower in followers for code in follower.codes]
    assert told
    assert set(told) == {1001}


async def test_the_ticket_service_drains(
    make_stack: MakeStack, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """While it goes and returns each request for a ticket is answered, and every ticket that was given is good once."""
    stack = await in_thread(make_stack, settings={"KAFKA_WS_TICKET_EXPIRATION_SEC": "600"})
    client, topic = stack.client(), create_topic()
    authorization = f"Bearer {stack.tokens.token('admin')}"
    tickets: list[str] = []
    statuses: set[int] = set()
    is_over = asyncio.Event()
    at_the_signal = 0

    async def ask() -> None:
        while not is_over.is_set():
            response = await client.request_ticket(authorization)
            statuses.add(response.status)
            if response.status == 200:
                tickets.append(response.json()["ticket"])

    async def drain() -> None:
        while len(tickets) < 10:  # noqa: ASYNC110 - nobody signals it
            await asyncio.sleep(0.01)
        nonlocal at_the_signal
        at_the_signal = len(tickets)
        assert await in_thread(stack.stop_one, TICKET) == 0
        await in_thread(stack.start_one, TICKET)
        await in_thread(stack.wait_until_ready, "edge-1")
        count = len(tickets)
        while len(tickets) < count + 10:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        is_over.set()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(8):
            tasks.create_task(ask())
        tasks.create_task(drain())
    assert statuses <= {200, 503}
    assert len(set(tickets)) == len(tickets)
    # Those given around the signal.
    for ticket in tickets[max(0, at_the_signal - 10) : at_the_signal + 20]:
        async with await client.connect(topic, ticket=ticket):
            pass
    async with await client.connect(topic, ticket=tickets[-1]) as socket:
        await in_thread(records.write_all, topic, numbered(0, 1))
        assert await numbers(socket, 1) == [0]
