"""Writing server-sent events to one client: the same bytes as everybody's, with the client's own credential put in.

Used by `connection` in place of `SocketWriter`, on the event loop. The body is sent in chunks (RFC 9112, section 7.1),
or up to the end of the connection to a client of HTTP/1.0.
"""

from __future__ import annotations

from edge.encoding import CREDENTIAL_MARK
from edge.socket_writer import SocketWriter


class EventWriter:
    """Writes to one event stream.

    Args:
        output: writes to the socket; the response's head has been written.
        credential: what the client may come back with; URL-safe text.
        is_chunked: whether the body is sent in chunks.
    """

    __slots__ = ("_credential", "_is_chunked", "_output")

    def __init__(self, output: SocketWriter, credential: str, *, is_chunked: bool) -> None:
        """Takes the output."""
        self._output = output
        self._credential = credential.encode("ascii")
        self._is_chunked = is_chunked

    def write(self, data: bytes) -> int:
        """Writes whole events; as `SocketWriter.write`."""
        if not data:
            # An empty chunk would end the body.
            return self._output.waiting
        body = data.replace(CREDENTIAL_MARK, self._credential)
        return self._output.write(b"%x\r\n%b\r\n" % (len(body), body) if self._is_chunked else body)

    def end(self) -> None:
        """Writes what ends the body."""
        if self._is_chunked:
            self._output.write(b"0\r\n\r\n")

    @property
    def waiting(self) -> int:
        """Bytes that wait in this process for the socket to take them."""
        return self._output.waiting

    @property
    def in_kernel(self) -> int:
        """Bytes that the kernel holds and the peer has not acknowledged."""
        return self._output.in_kernel

    @property
    def taken(self) -> int:
        """Bytes that the socket has taken so far."""
        return self._output.taken
