"""One client's stream of records: where they come from, through slow spells, to its end.

Made by the handlers before the request is answered, so that what the client asks for is open by then; started right
after the answer. All on the event loop. Where the records come from:

    from a point ──────────────┐
                               v
    SHARED <────level──── CATCHING UP <──below the low mark── DRAINING
       │                       │                                 ^
       └──over the high mark───┴─────────────────────────────────┘

A stream with an end is CATCHING UP all the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from kafka_ws.filter.v1 import filter_pb2

from edge import metrics
from edge.errors import CloseCode, StreamEndedError
from edge.position import Position
from edge.position_token import TokenPosition
from edge.slow_consumer import LagWatch, Marks, Pace, SlowConsumer
from edge.stream_request import StreamRequest, Transport
from edge.subscription import Subscription
from edge.subscriptions import Subscriptions

_QUIET_BEGINNING_SEC = 0.25
"""Without anything to send, after this time a client that is told positions is told the first."""


class SocketOutput(Protocol):
    """Where the bytes go; see `socket_writer.SocketWriter`."""

    def write(self, data: bytes) -> int:
        """Writes, and returns how many bytes wait."""

    @property
    def waiting(self) -> int:
        """Bytes that wait in this process."""

    @property
    def in_kernel(self) -> int:
        """Bytes that the kernel holds."""

    @property
    def taken(self) -> int:
        """Bytes that the kernel has taken so far."""


class Connection:
    """The stream of one socket.

    Args:
        request: what the client asks for.
        subscriptions: the process's.
        watch: the process's.
        marks: when the socket counts as slow.
        close: ends the socket with a code and a reason; called at most once, never before `start`.
    """

    __slots__ = (
        "_close",
        "_early",
        "_early_size",
        "_ending",
        "_first",
        "_is_released",
        "_marks",
        "_output",
        "_pace",
        "_position",
        "_private",
        "_request",
        "_shared",
        "_subscriptions",
        "_watch",
    )

    def __init__(
        self,
        request: StreamRequest,
        subscriptions: Subscriptions,
        watch: LagWatch,
        marks: Marks,
        close: Callable[[StreamEndedError], None],
    ) -> None:
        """Begins without a stream."""
        self._request = request
        self._subscriptions = subscriptions
        self._watch = watch
        self._close = close
        self._marks = marks
        self._pace = SlowConsumer(marks)
        self._shared: Subscription | None = None
        self._private: Subscription | None = None
        self._output: SocketOutput | None = None
        self._early: list[bytes] = []
        self._early_size = 0
        self._first = b""
        self._position = TokenPosition({})
        self._is_released = False
        self._ending: StreamEndedError | None = None

    # ---------------------------------------------------------------------------------------- what the handlers call

    async def subscribe(self) -> None:
        """Opens what the client asks for; to be answered with `101` when it returns.

        Raises:
            StreamEndedError: the query or the start is wrong.
            UnavailableError: the filter service is away.
        """
        request = self._request
        try:
            if request.stop is None:
                self._shared = await self._subscriptions.acquire(request.key, self)
                if request.start is None:
                    # Before the answer, so that nothing that is produced after it passes by.
                    self._shared.fan_out.attach(self)
                    self._tell_first(self._shared, self._shared.position)
                    return
            self._private = private = self._subscriptions.open_private(request, self._shared, self)
            await self._subscriptions.wait_open(private, self)
            self._tell_first(private, private.beginning)
            if request.stop is not None:
                # What `latest` or a time has meant stays, also when all of it has been received by now.
                self._stop_at(private.stops)
        except BaseException:
            self.release()
            raise

    def start(self, output: SocketOutput) -> None:
        """The request is answered: records follow, those that have arrived since first."""
        self._output = output
        early, self._early, self._early_size = self._early, [], 0
        if early:
            output.write(b"".join(early))
        if self._ending is not None:
            self._close(self._ending)

    def _tell_first(self, subscription: Subscription, position: Position) -> None:
        """Tells where the stream begins, for a client that is cut off before anything else comes.

        Server-sent events begin with it, where no program sees it; elsewhere it is a message, and comes once there
        has been nothing else for a moment.
        """
        data = subscription.encoder.position(position)
        if self._request.key.transport is Transport.EVENTS:
            self._early.insert(0, data)
            self._early_size += len(data)
        elif data:
            self._first = data
            asyncio.get_running_loop().call_later(_QUIET_BEGINNING_SEC, self._tell_beginning)

    def _tell_beginning(self) -> None:
        if self._first and not self._is_released:
            self.give(self._first)

    def _stop_at(self, stops: Mapping[int, int]) -> None:
        stop = filter_pb2.Stop(position=filter_pb2.Position(next_offsets=stops))
        self._request = replace(self._request, stop=stop)

    def release(self) -> None:
        """The socket is gone, or on its way: nothing more is written to it. May be called any number of times."""
        self._is_released = True
        self._early = []
        self._watch.remove(self)
        for subscription in (self._private, self._shared):
            if subscription is not None:
                self._subscriptions.release(subscription, self)
        self._private = self._shared = None

    @property
    def stops(self) -> filter_pb2.Position | None:
        """Where the stream ends, as resolved when it was opened; None: nowhere."""
        stop = self._request.stop
        return None if stop is None else stop.position

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait for the socket in this process."""
        return self._early_size if self._output is None else self._output.waiting

    def transfer(self) -> tuple[int, int]:
        """Bytes that the peer has acknowledged so far, and bytes on their way to it."""
        if self._output is None:
            return 0, 0
        in_kernel = self._output.in_kernel
        return self._output.taken - in_kernel, in_kernel + self._output.waiting

    # ------------------------------------------------------------------------------- what a subscription calls (User)

    def give(self, data: bytes) -> None:
        """Writes frames; leaves the subscription when too much waits."""
        output = self._output
        self._first = b""
        if output is None:
            self._early.append(data)
            self._early_size += len(data)
            waiting, taken = self._early_size, 0
        else:
            waiting, taken = output.write(data), output.taken
        if waiting:
            now = asyncio.get_running_loop().time()
            if self._pace.gave(waiting, taken, now) is Pace.DRAINING:
                self._fall_behind()

    def fail(self) -> None:
        """Writing has failed in an unforeseen way."""
        self.ended(StreamEndedError.of(CloseCode.INTERNAL))

    def ended(self, error: StreamEndedError) -> None:
        """The stream cannot go on."""
        early, size = self._early, self._early_size
        self.release()
        if self._ending is None:
            self._ending = error
            if self._output is not None:
                self._close(error)
            else:
                # What came before the end is delivered before it.
                self._early, self._early_size = early, size

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
            self._watch.remove(self)

    # --------------------------------------------------------------------------------------------------- falling behind

    def _fall_behind(self) -> None:
        source = self._private or self._shared
        if source is None:
            return
        metrics.DETACHES.inc()
        self._position = TokenPosition(source.fan_out.detach(self), source.position.topic_id)
        if self._private is not None:
            if self._request.stop is not None:
                self._stop_at(self._private.stops)
            self._subscriptions.release(self._private, self)
            self._private = None
        self._watch.add(self)

    def look(self, now: float) -> bool:
        """Goes on when the socket has drained, gives it up when it takes nothing (`LagWatch`)."""
        output, shared = self._output, self._shared
        if self._is_released:
            return False
        if output is None:
            return True
        pace = self._pace.looked(output.waiting, output.taken, now)
        if pace is Pace.DRAINING:
            return True
        if pace is Pace.STALLED:
            self.ended(StreamEndedError.of(CloseCode.SLOW_CONSUMER))
        elif shared is not None and shared.position.is_level_with(self._position.next_offsets):
            # Nothing has come since: no need to ask.
            shared.fan_out.attach(self)
            self._watch.remove(self)
        else:
            self._private = self._subscriptions.catch_up(self._request, self._position, shared, self)
        return False

    def lag(self) -> int:
        """Offsets between what the socket has been given and what its stream has received (`LagWatch`)."""
        private, shared = self._private, self._shared
        source = shared or private
        if source is None:
            return 0
        given = self._position.next_offsets if private is None else private.fan_out.given_to(self)
        received = list(source.position.next_offsets.items())
        return sum(max(0, offset - given.get(partition, 0)) for partition, offset in received)
