"""Writing prepared frames to one socket: the only module that looks below Tornado's public surface.

`WebSocketHandler.write_message` costs a frame, a future and a task per message and socket; here the same bytes object
goes to every socket, straight into the kernel when nothing waits. Control frames (ping, pong, close) still come from
Tornado through the same stream, and stay in order: whatever does not fit into the kernel is left to the stream, and
as long as the stream has something to write, everything goes through it.

Used by `connection`, on the event loop.
"""

import fcntl
import struct
import sys
import termios

from tornado.iostream import IOStream

_HAS_OUTQ = sys.platform == "linux"


class SocketWriter:
    """Writes to one WebSocket's stream.

    Args:
        stream: the stream of an accepted WebSocket.
    """

    __slots__ = ("_send", "_sent", "_stream")

    def __init__(self, stream: IOStream) -> None:
        """Takes the stream; it stays Tornado's to read from and to close."""
        self._stream = stream
        # None for a TLS stream, which must see every byte itself.
        self._send = stream.socket.send if type(stream) is IOStream else None
        self._sent = 0

    def write(self, data: bytes) -> int:
        """Writes whole frames; never blocks, never raises. Nothing happens on a closed stream.

        Args:
            data: the frames; not copied when they have to wait, so that many sockets can wait for one object.

        Returns:
            Bytes that wait for the socket now; 0 when the kernel has taken everything.
        """
        stream = self._stream
        # `closed()` and `writing()` say the same; as calls they would be a third of what a write costs in Python.
        if stream._closed:
            return 0
        if self._send is None or stream._total_write_index != stream._total_write_done_index:
            stream.write(data)
            return self.waiting
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            # Tornado's reading side notices and ends the WebSocket.
            stream.close(exc_info=error)
            return 0
        self._sent += sent
        if sent == len(data):
            return 0
        stream.write(memoryview(data)[sent:])
        return self.waiting

    # Tornado counts the bytes written and done, but shows neither; `writing()` only says that there are some. The
    # futures of `write()` tell the end of each write, not how far it has come, so a slow reader of one large write
    # would look like a dead one.

    @property
    def waiting(self) -> int:
        """Bytes that wait in this process for the socket to take them."""
        stream = self._stream
        return 0 if stream.closed() else stream._total_write_index - stream._total_write_done_index

    @property
    def in_kernel(self) -> int:
        """Bytes that the kernel holds and the peer has not acknowledged (Linux, tcp(7) SIOCOUTQ; elsewhere 0)."""
        if not _HAS_OUTQ or self._stream.closed():
            return 0
        answer = fcntl.ioctl(self._stream.socket, termios.TIOCOUTQ, b"\0\0\0\0")
        return int(struct.unpack("i", answer)[0])

    @property
    def taken(self) -> int:
        """Bytes that the socket has taken so far; grows as long as the peer takes anything."""
        return self._sent + self._stream._total_write_done_index
