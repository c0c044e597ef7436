"""A subscription: one stream of records from the filter service, for any number of sockets. On the event loop.

Made by `subscriptions`, which says who shares it; kept open by `filter_client`, which calls what `leg.Subscriber`
lists. What arrives is checked against the position, encoded once and handed to the fan-out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from kafka_ws.filter.v1 import filter_pb2

from edge import metrics
from edge.batch import ReceivedBatch
from edge.encoding import Gap, encoder
from edge.errors import CloseCode, StreamEndedError
from edge.fan_out import FanOut, Member, Writer
from edge.leg import Leg
from edge.position import Position
from edge.stream_request import StreamKey


class User(Member, Protocol):
    """A socket that needs a subscription."""

    def ended(self, error: StreamEndedError) -> None:
        """The subscription has ended; it is released already."""

    def caught_up(self) -> None:
        """The socket's private subscription is level with the shared one."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told about a subscription."""

    moved: Callable[[Subscription], None]
    over: Callable[[Subscription], None]


class Subscription:
    """One stream of records.

    Args:
        key: what it delivers.
        writer: the process's.
        listener: is told when it has moved, and when it is over.
        start: where it begins; None: at the end.
        stop: where it ends; None: never.
        shared: for a private subscription, the one that its socket is to return to.
        is_patient: whether to wait for a replica when none can serve it the first time.

    Attributes:
        beginning: where it begins; complete once it is open.
        position: behind everything received.
        fan_out: the sockets that get the records now.
        users: the sockets that need it, those in their handshake and those that have fallen behind included.
        privates: for a shared one, the private ones of its sockets.
        legs, next_legs, ...: see `leg.Subscriber`.
    """

    def __init__(
        self,
        key: StreamKey,
        writer: Writer,
        listener: Listener,
        *,
        start: filter_pb2.Start | None = None,
        stop: filter_pb2.Stop | None = None,
        shared: Subscription | None = None,
        is_patient: bool = False,
    ) -> None:
        """Begins unopened."""
        self.key = key
        self.topic = key.topic
        self.where = key.where
        self.fields = key.fields
        self.skips_gaps = key.skips_gaps
        self.encoder = encoder(key)
        self.with_metadata = self.encoder.needs_metadata
        self.start = start
        self.stop = stop
        self.stops: dict[int, int] = {}
        self.is_patient = is_patient
        self.legs: list[Leg] = []
        self.next_legs: list[Leg] = []
        # A position is known before it is open: a slow socket may leave at once.
        given = start.position if start is not None and start.HasField("position") else filter_pb2.Position()
        self.beginning = Position(given.next_offsets, given.topic_id)
        self.position = Position(given.next_offsets, given.topic_id)
        self.fan_out = FanOut(writer, given.next_offsets)
        self.shared = shared
        self.privates: dict[Subscription, None] = {}
        self.users: dict[User, None] = {}
        self.linger: asyncio.TimerHandle | None = None
        self.is_over = False
        self._listener = listener
        self._is_quiet = True
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Without anybody waiting, a failure is nobody's concern.
        self._opened.add_done_callback(lambda future: future.cancelled() or future.exception())

    async def wait_open(self) -> None:
        """Returns once all offsets are resolved and records flow.

        Raises:
            StreamEndedError: it cannot be opened.
        """
        await asyncio.shield(self._opened)

    @property
    def was_open(self) -> bool:
        """Whether it has ever been open."""
        return self._opened.done() and self._opened.exception() is None

    def tell_position(self) -> None:
        """Tells the sockets where they are, unless a record has just done so. To be called at an interval."""
        if self._is_quiet and self.encoder.tells_positions and self.was_open:
            self.fan_out.append_notice(self.encoder.position(self.position))
        self._is_quiet = True

    def give_up(self, user: User) -> None:
        """A socket needs it no longer."""
        self.fan_out.detach(user)
        self.users.pop(user, None)

    # --------------------------------------------------------------------------------------------------- Subscriber

    def began(self, opened: filter_pb2.Opened) -> None:
        """A replica serves a leg, for the first time or again."""
        start = opened.start.next_offsets
        self.position.begin(start)
        self.fan_out.begin(start)
        self._identify(opened.start.topic_id)
        if not self._opened.done():
            self.beginning.begin(start)
            self.beginning.topic_id = self.position.topic_id
        if opened.HasField("stop"):
            for partition, offset in opened.stop.next_offsets.items():
                self.stops.setdefault(partition, offset)
        if not self._opened.done() and all(leg.was_open for leg in self.legs):
            self._opened.set_result(None)
        self._listener.moved(self)

    def records(self, batch: ReceivedBatch, indexes: Sequence[int]) -> None:
        """Records have arrived: those that are new go to the fan-out."""
        new = self.position.accept(batch.partition, batch.offsets, batch.next_offset, indexes)
        count = len(new)
        # While all its sockets are behind, nobody takes what it brings.
        data = self.encoder.records(batch, new, self.position) if count and self.fan_out.is_used else b""
        self._is_quiet = self._is_quiet and not data
        metrics.RECORDS.inc(count)
        self.fan_out.append(data, count, batch.partition, batch.next_offset)
        self._note_move()

    def progress(self, partition: int, next_offset: int) -> None:
        """A partition has moved without records for us."""
        if self.position.advance(partition, next_offset):
            self.fan_out.append(b"", 0, partition, next_offset)
            self._note_move()

    def gap(self, gap: Gap) -> None:
        """Records are missing."""
        if self.position.advance(gap.partition, gap.to_offset):
            self.fan_out.append(self.encoder.gap(gap, self.position), 0, gap.partition, gap.to_offset)
            self._note_move()

    def changed(self, topic_id: bytes) -> None:
        """The topic has appeared or grown."""
        self._identify(topic_id)

    def completed(self) -> None:
        """Everything before the stop has been received."""
        for partition, offset in self.stops.items():
            self.position.advance(partition, offset)
        # Who comes again from there is told that there is no more, whatever the last records were.
        self.fan_out.append_notice(self.encoder.position(self.position))
        self.fan_out.flush()
        self.ended(StreamEndedError.of(CloseCode.NORMAL))

    def ended(self, error: StreamEndedError) -> None:
        """It cannot be opened, or cannot go on: all its sockets are told."""
        self._listener.over(self)
        users, self.users = list(self.users), {}
        if not self._opened.done():
            # Whoever waits for it to open hears it there.
            self._opened.set_exception(error)
            if not self.is_patient:
                return
        for user in users:
            self.fan_out.detach(user)
            user.ended(error)

    def _identify(self, topic_id: bytes) -> None:
        if topic_id:
            self.position.topic_id = topic_id

    def _note_move(self) -> None:
        if self.shared is not None or self.privates:
            self._listener.moved(self)
