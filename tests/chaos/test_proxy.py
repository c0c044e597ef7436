"""The network that the chaos run breaks: what each kind of break looks like from both ends."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.chaos.proxy import Proxy
from tests.processes import free_port

_WAIT_SEC = 20.0


class Echo:
    """A server that sends back what it gets, and notes how its connections end."""

    def __init__(self) -> None:
        self.port = free_port()
        self.endings: asyncio.Queue[str] = asyncio.Queue()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1000):
                writer.write(data)
            self.endings.put_nowait("closed")
        except ConnectionResetError:
            self.endings.put_nowait("reset")
        finally:
            writer.close()

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    server = Echo()
    await server.start()
    yield server
    server.stop()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[Proxy]:
    proxy = Proxy(free_port(), echo.port)
    await proxy.start()
    yield proxy
    await proxy.stop()


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(proxy: Proxy) -> Connection:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def answer(connection: Connection, text: bytes) -> bytes:
    reader, writer = connection
    writer.write(text)
    return await asyncio.wait_for(reader.readexactly(len(text)), _WAIT_SEC)


async def test_large_data_gets_through(proxy: Proxy) -> None:
    """More than any buffer holds comes back as it was sent."""
    text = bytes(range(256)) * 40_000
    assert await answer(await connect(proxy), text) == text


async def test_a_cut_is_noticed_at_both_ends(proxy: Proxy, echo: Echo) -> None:
    """A cut resets both ends and refuses new connections; healed, new ones work."""
    reader, _ = connection = await connect(proxy)
    await answer(connection, b"a")
    await proxy.cut()
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(1), _WAIT_SEC)
    assert await asyncio.wait_for(echo.endings.get(), _WAIT_SEC) == "reset"
    with pytest.raises(ConnectionRefusedError):
        await connect(proxy)
    await proxy.heal()
    assert await answer(await connect(proxy), b"b") == b"b"


async def test_silence_holds_back(proxy: Proxy, echo: Echo) -> None:
    """What is sent during a silence, on old connections and new ones, arrives when it is over."""
    old = await connect(proxy)
    await answer(old, b"a")
    proxy.silence()
    new = await connect(proxy)
    answers = [asyncio.create_task(answer(each, b"b")) for each in (old, new)]
    done, _ = await asyncio.wait(answers, timeout=0.2)
    assert not done
    await proxy.heal()
    assert await asyncio.gather(*answers) == [b"b", b"b"]
    assert echo.endings.empty()


async def test_half_open_connections(proxy: Proxy, echo: Echo) -> None:
    """Of a lost connection the server's end is reset and the client's hears nothing until `heal`; new ones work."""
    reader, writer = lost = await connect(proxy)
    await answer(lost, b"a")
    assert proxy.lose() == 1
    assert await asyncio.wait_for(echo.endings.get(), _WAIT_SEC) == "reset"
    writer.write(b"b")
    reading = asyncio.create_task(reader.read(1))
    done, _ = await asyncio.wait([reading], timeout=0.2)
    assert not done
    assert await answer(await connect(proxy), b"c") == b"c"
    assert not reading.done()
    await proxy.heal()
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reading, _WAIT_SEC)


async def test_a_server_that_is_away(echo: Echo) -> None:
    """Who connects while nobody is there is reset."""
    proxy = Proxy(free_port(), free_port())
    await proxy.start()
    reader, _ = await connect(proxy)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(1), _WAIT_SEC)
    await proxy.stop()
