"""Listening sockets that give out few connections in a turn of the event loop.

When thousands of clients connect at once, Tornado would accept all of them, and the records of those that are there
already would wait for what each takes: asyncio has no priorities. Here they wait with the kernel, and come in as the
`Limiter` gets through with those before. So turns are short, and records keep flowing in between.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from tornado.netutil import bind_sockets

from edge.limiter import Limiter

AT_ONCE = 8
"""Connections accepted in a turn: what they ask the other services for goes together."""

_QUEUE = 4096
"""Connections that the kernel may hold for us, if `net.core.somaxconn` is not less; those beyond try again later."""


class Listener(socket.socket):
    """A listening socket for Tornado, to be used on the event loop's thread.

    Args:
        bound: a socket that listens, and is this one's from now on.
        limiter: while it is crowded, one connection is accepted in a turn.
    """

    def __init__(self, bound: socket.socket, limiter: Limiter) -> None:
        super().__init__(bound.family, bound.type, bound.proto, bound.detach())
        self._limiter = limiter
        self._accepted = 0  # in this turn

    def accept(self) -> tuple[socket.socket, Any]:
        """Accepts a connection.

        Raises:
            BlockingIOError: there is none, or not in this turn.
        """
        if self._accepted >= (1 if self._limiter.is_crowded else AT_ONCE):
            raise BlockingIOError
        if not self._accepted:
            asyncio.get_running_loop().call_soon(self._begin_turn)
        self._accepted += 1
        return super().accept()

    def _begin_turn(self) -> None:
        self._accepted = 0


def listen(host: str, port: int, limiter: Limiter) -> list[Listener]:
    """Opens a listening socket for each address of a host.

    Raises:
        OSError: the host has no address, or the port is taken.
    """
    return [Listener(bound, limiter) for bound in bind_sockets(port, host, backlog=_QUEUE)]
