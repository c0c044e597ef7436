"""A TCP proxy whose network can be cut: between one edge and one filter replica. On one event loop.

Three ways for a network to fail, which peers notice in different ways:

* `cut`: connections are reset and new ones refused, until `heal`: both ends know at once.
* `silence`: nothing gets through, and nothing is said, until `heal`; then what was held back arrives.
* `lose`: the network forgets its connections, as a firewall or a balancer does that is started again: the server's
  ends are reset, the clients hear nothing any more (a half-open connection). New connections work. `heal` answers the
  old ones with a reset, as a network does that has found its way back.
"""

import asyncio
import socket
import struct
from contextlib import suppress
from typing import cast

_RESET = struct.pack("ii", 1, 0)
"""`SO_LINGER` with a time of zero: closing sends RST instead of FIN (socket(7))."""


class _End(asyncio.Protocol):
    """One end of a connection through the proxy."""

    def __init__(self, proxy: "Proxy") -> None:
        self.proxy = proxy
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None
        self.is_mute = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.proxy.ends.add(self)

    def data_received(self, data: bytes) -> None:
        if self.is_mute:
            return
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.pause()

    def resume_writing(self) -> None:
        if self.other is not None and not self.proxy.is_silent:
            self.other.resume()

    def pause(self) -> None:
        """Takes nothing from the network."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume(self) -> None:
        """Takes from the network again."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.proxy.ends.discard(self)
        if self.other is not None and self.other.transport is not None and not self.other.is_mute:
            self.other.transport.close()

    def reset(self) -> None:
        """Ends it with RST."""
        if self.transport is None:
            return
        endpoint = self.transport.get_extra_info("socket")
        if endpoint is not None:
            with suppress(OSError):
                endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()


class _ClientEnd(_End):
    """The end of who has connected to the proxy."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # Until there is somebody to hand it to, nothing is taken. In the loop's next turn: before Python 3.11.3 reading
        # begins after this one, whatever is said here.
        asyncio.get_running_loop().call_soon(self.pause)
        self.proxy.connecting(self)


class Proxy:
    """Forwards connections to a port of 127.0.0.1.

    :param port: to listen on.
    :param target: port of the server.
    """

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self._target = target
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.ends: set[_End] = set()
        self.is_silent = False

    @property
    def address(self) -> str:
        """`host:port` for clients."""
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listens."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _ClientEnd(self), "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Ends everything."""
        if self._server is not None:
            self._server.close()
        for end in list(self.ends):
            end.reset()
        for task in list(self._tasks):
            task.cancel()

    def connecting(self, client: _End) -> None:
        """Called by the end of a new client."""
        task = asyncio.get_running_loop().create_task(self._connect(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, client: _End) -> None:
        loop = asyncio.get_running_loop()
        server = _End(self)
        server.other = client
        try:
            await loop.create_connection(lambda: server, "127.0.0.1", self._target)
        except OSError:
            client.reset()
            return
        client.other = server
        if self.is_silent:
            server.pause()
        else:
            client.resume()

    # ------------------------------------------------------------------------------------------------------- faults

    async def cut(self) -> None:
        """Resets all connections, and refuses new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for end in list(self.ends):
            end.reset()

    def silence(self) -> None:
        """Holds back everything."""
        self.is_silent = True
        for end in list(self.ends):
            end.pause()

    def lose(self) -> int:
        """Forgets all connections; their clients are not told. Returns how many there were."""
        lost = [end for end in self.ends if isinstance(end, _ClientEnd) and end.other is not None]
        for client in lost:
            client.is_mute = True
            assert client.other is not None
            client.other.reset()
        return len(lost)

    async def heal(self) -> None:
        """Undoes what was done."""
        if self._server is None:
            await self.start()
        self.is_silent = False
        for end in list(self.ends):
            if end.is_mute:
                end.reset()
            elif end.other is not None:
                end.resume()
