"""`format=record` on WebSockets between scripted parts: positions from the first message to the last."""

from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from edge.position_token import decode
from tests.edge.conftest import MakeSystem, System
from tests.edge.listening import numbered, write
from tests.stack.client import CloseEvent, Socket

RECORD = {"format": "record"}


@pytest.fixture
async def system(make_system: MakeSystem) -> System:
    """An edge with one replica that tells positions often."""
    return await make_system(server_position_interval_sec=0.1)


async def rest(socket: Socket) -> tuple[list[Any], CloseEvent]:
    """Everything up to the close, and the close."""
    values = []
    try:
        while True:
            values.append(await socket.value())
    except ConnectionClosed:
        return values, await socket.closed()


def offsets(message: Any) -> dict[int, int]:
    """What a message says of the position."""
    return dict(decode("admin.t", message["position"]).next_offsets)


async def test_a_quiet_stream_tells_where_it_begins(system: System) -> None:
    """Who is cut off before the first record resumes with that, and gets what was written meanwhile."""
    write(system, numbered(3))
    async with await system.connect(parameters=RECORD) as socket:
        first = await socket.value()
    assert list(first) == ["position"]
    assert offsets(first) == {0: 3}
    write(system, numbered(2, 3))
    async with await system.connect(parameters=RECORD | {"from": first["position"]}) as socket:
        records = await socket.values(2)
    assert [record["value"]["n"] for record in records] == [3, 4]


async def test_the_last_message_is_where_the_stream_ends(system: System) -> None:
    """A query over history ends with a position behind everything it has looked through, then with 1000."""
    write(system, numbered(30))
    parameters = RECORD | {"from": "earliest", "until": "latest"}
    async with await system.connect(where='"n": 7', parameters=parameters) as socket:
        values, close = await rest(socket)
    record, last = values
    assert record["value"] == {"n": 7}
    assert offsets(record) == {0: 8}
    assert list(last) == ["position"]
    assert offsets(last) == {0: 30}
    assert close == CloseEvent(1000, "")


async def test_values_have_no_positions(system: System) -> None:
    """`format=value` sends bare values only, as the original does."""
    write(system, numbered(2))
    async with await system.connect(parameters={"from": "earliest", "until": "latest"}) as socket:
        assert await rest(socket) == ([{"n": 0}, {"n": 1}], CloseEvent(1000, ""))
