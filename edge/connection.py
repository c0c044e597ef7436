"""One client's stream of records: from the subscription it shares, through slow spells, to its end.

Made by `handlers.topic` before the handshake is answered, so that what the client asks for is open by then; started
right after the `101`. All on the event loop. Where the records come from:

    SHARED --over the high mark--> DRAINING --below the low mark--> CATCHING UP --level--> SHARED
                                      ^                                  |
                                      +------over the high mark----------+
"""

import asyncio
from collections.abc import Callable

from tornado.iostream import IOStream

from edge import metrics
from edge.errors import CloseCode, StreamEndedError
from edge.slow_consumer import LagWatch, Marks, Pace, SlowConsumer
from edge.socket_writer import SocketWriter
from edge.subscription import StreamKey, Subscription, Subscriptions


class Connection:
    """The stream of one WebSocket.

    Args:
        subscriptions: the process's.
        watch: the process's.
        marks: when the socket counts as slow.
        close: closes the WebSocket with a code and a reason; called at most once, never before `start`.
    """

    __slots__ = (
        "_close",
        "_ending",
        "_lagging",
        "_marks",
        "_pace",
        "_position",
        "_private",
        "_shared",
        "_subscriptions",
        "_watch",
        "_writer",
    )

    def __init__(
        self, subscriptions: Subscriptions, watch: LagWatch, marks: Marks, close: Callable[[StreamEndedError], None]
    ) -> None:
        """Begins without a stream."""
        self._subscriptions = subscriptions
        self._watch = watch
        self._close = close
        self._marks = marks
        self._pace = SlowConsumer(marks)
        self._shared: Subscription | None = None
        self._private: Subscription | None = None
        self._writer: SocketWriter | None = None
        self._position: dict[int, int] = {}
        self._lagging = False
        self._ending: StreamEndedError | None = None

    # ---------------------------------------------------------------------------------------- what the handler calls

    async def subscribe(self, key: StreamKey) -> None:
        """Opens what the client asks for; to be answered with `101` when it returns.

        Raises:
            StreamEndedError: the query is wrong.
            UnavailableError: the filter service is away.
        """
        self._shared = await self._subscriptions.acquire(key, self)

    def start(self, stream: IOStream) -> None:
        """The `101` is written: records may follow.

        Must be called in the same turn of the event loop, so that nothing that is produced after the client has seen
        the `101` passes by.
        """
        self._writer = SocketWriter(stream)
        if self._ending is not None:
            self._close(self._ending)
        elif self._shared is not None:
            self._shared.fan_out.attach(self)

    def release(self) -> None:
        """The socket is gone, or on its way: nothing more is written to it. May be called any number of times."""
        self._watch.remove(self)
        self._caught_up_or_gone()
        for subscription in (self._private, self._shared):
            if subscription is not None:
                self._subscriptions.release(subscription, self)
        self._private = self._shared = None

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait for the socket in this process."""
        return 0 if self._writer is None else self._writer.waiting

    def transfer(self) -> tuple[int, int]:
        """Bytes that the peer has acknowledged so far, and bytes on their way to it."""
        if self._writer is None:
            return 0, 0
        in_kernel = self._writer.in_kernel
        return self._writer.taken - in_kernel, in_kernel + self._writer.waiting

    # ------------------------------------------------------------------------------- what a subscription calls (User)

    def give(self, data: bytes) -> None:
        """Writes frames; leaves the subscription when too much waits."""
        writer = self._writer
        if writer is None:
            return
        waiting = writer.write(data)
        if waiting:
            now = asyncio.get_running_loop().time()
            if self._pace.gave(waiting, writer.taken, now) is Pace.DRAINING:
                self._fall_behind()

    def fail(self) -> None:
        """Writing has failed in an unforeseen way."""
        self.ended(StreamEndedError.of(CloseCode.INTERNAL))

    def ended(self, error: StreamEndedError) -> None:
        """The stream cannot go on."""
        self.release()
        if self._ending is None:
            self._ending = error
            if self._writer is not None:
                self._close(error)

    def caught_up(self) -> None:
        """The private subscription has received exactly what the shared one has."""
        private, shared = self._private, self._shared
        if private is None or shared is None:
            return
        private.fan_out.flush()
        # Giving may have filled the socket up again.
        if self._private is private:
            self._private = None
            self._subscriptions.release(private, self)
            shared.fan_out.attach(self)
            self._caught_up_or_gone()

    # --------------------------------------------------------------------------------------------------- falling behind

    def _fall_behind(self) -> None:
        source = self._private or self._shared
        if source is None:
            return
        metrics.DETACHES.inc()
        self._position = source.fan_out.detach(self)
        if self._private is not None:
            self._subscriptions.release(self._private, self)
            self._private = None
        if not self._lagging:
            self._lagging = True
            metrics.LAGGING.inc()
        self._watch.add(self)

    def look(self, now: float) -> bool:
        """Goes on when the socket has drained, gives it up when it takes nothing (`LagWatch`)."""
        writer, shared = self._writer, self._shared
        if writer is None or shared is None:
            return False
        pace = self._pace.looked(writer.waiting, writer.taken, now)
        if pace is Pace.DRAINING:
            return True
        if pace is Pace.STALLED:
            self.ended(StreamEndedError.of(CloseCode.SLOW_CONSUMER))
        elif shared.position.is_level_with(self._position):
            # Nothing has come since: no need to ask.
            shared.fan_out.attach(self)
            self._caught_up_or_gone()
        else:
            self._private = self._subscriptions.catch_up(shared, self._position, self)
        return False

    def _caught_up_or_gone(self) -> None:
        if self._lagging:
            self._lagging = False
            metrics.LAGGING.dec()
