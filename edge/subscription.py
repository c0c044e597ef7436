"""Subscriptions, and how sockets share them (design, "Subscriptions are shared").

`Subscriptions` is the process's registry, used by `connection`: sockets that ask for the same text of topic,
`where`, `fields` and format hang on one `Subscription`, which `filter_client` keeps open at the filter service. A
socket that has fallen behind gets a private one from its own position, until both are level. All on the event loop.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from kafka_ws.filter.v1 import filter_pb2

from edge import metrics
from edge.batch import ReceivedBatch
from edge.errors import CloseCode, StreamEndedError, UnavailableError
from edge.fan_out import FanOut, Member, Writer
from edge.filter_client import FilterClient
from edge.leg import Leg
from edge.position import Position


@dataclass(frozen=True, slots=True)
class StreamKey:
    """What sockets must have in common to share a subscription: the exact texts, never a fingerprint of them.

    Attributes:
        topic: Kafka topic name.
        where: filter expression as the client wrote it.
        fields: projection as the client wrote it.
        format: what a frame holds; `value`: the record's JSON text.
    """

    topic: str
    where: str
    fields: str
    format: str = "value"


class User(Member, Protocol):
    """A socket that needs a subscription."""

    def ended(self, error: StreamEndedError) -> None:
        """The subscription has ended; it is released already."""

    def caught_up(self) -> None:
        """The socket's private subscription is level with the shared one."""


class Subscription:
    """One stream of records from the filter service, for any number of sockets.

    Attributes:
        key: what it delivers.
        position: behind everything received.
        is_started: whether `position` holds.
        fan_out: the sockets that get the records now.
        users: the sockets that need it, those in their handshake and those that have fallen behind included.
        shared: for a private subscription, the one that its socket is to return to.
        privates: for a shared one, the private ones of its sockets.
    """

    def __init__(
        self,
        key: StreamKey,
        writer: Writer,
        registry: "Subscriptions",
        shared: "Subscription | None" = None,
        start: Mapping[int, int] | None = None,
    ) -> None:
        """Made by `Subscriptions`."""
        self.key = key
        self.topic = key.topic
        self.where = key.where
        self.fields = key.fields
        self.position = Position(start or {})
        self.is_started = start is not None
        self.fan_out = FanOut(writer, start)
        self.shared = shared
        self.privates: dict[Subscription, None] = {}
        self.users: dict[User, None] = {}
        self.legs = (Leg(self, is_patient=shared is not None),)
        self.linger: asyncio.TimerHandle | None = None
        self.is_over = False
        self._registry = registry
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Without anybody waiting, a failure is nobody's concern.
        self._opened.add_done_callback(lambda future: future.cancelled() or future.exception())

    async def wait_open(self) -> None:
        """Returns once offsets are resolved and records flow.

        Raises:
            StreamEndedError: it cannot be opened.
        """
        await asyncio.shield(self._opened)

    @property
    def was_open(self) -> bool:
        """Whether it has ever been open."""
        return self._opened.done() and self._opened.exception() is None

    # --------------------------------------------------------------------------------------------------- Subscriber

    def began(self, opened: filter_pb2.Opened) -> None:
        """A replica serves it, for the first time or again."""
        start = opened.start.next_offsets
        self.position.begin(start)
        self.fan_out.given.begin(start)
        self.is_started = True
        if not self._opened.done():
            self._opened.set_result(None)
        self._registry.moved(self)

    def records(self, batch: ReceivedBatch, indexes: Sequence[int]) -> None:
        """Records have arrived: those that are new go to the fan-out, as frames."""
        new = self.position.accept(batch.partition, batch.offsets, batch.next_offset, indexes)
        count = len(new)
        data = batch.frames.select(new) if count and self.users else b""
        metrics.RECORDS.inc(count)
        self.fan_out.append(data, count, batch.partition, batch.next_offset)
        if self.shared is not None or self.privates:
            self._registry.moved(self)

    def progress(self, partition: int, next_offset: int) -> None:
        """A partition has moved without records for us."""
        if self.position.advance(partition, next_offset):
            self.fan_out.append(b"", 0, partition, next_offset)
            if self.shared is not None or self.privates:
                self._registry.moved(self)

    def ended(self, error: StreamEndedError) -> None:
        """It cannot be opened, or cannot go on: all its sockets are told."""
        self._registry.forget(self)
        users, self.users = list(self.users), {}
        if not self._opened.done():
            self._opened.set_exception(error)
            if self.shared is None:
                # They wait for it to open, and hear it there.
                return
        for user in users:
            self.fan_out.detach(user)
            user.ended(error)


class Subscriptions:
    """All subscriptions of the process.

    Args:
        filter_client: keeps them open.
        writer: writes their records.
        open_timeout_sec: how long opening may take.
        linger_sec: how long a shared one stays open after its last socket has gone.
    """

    def __init__(self, filter_client: FilterClient, writer: Writer, open_timeout_sec: float, linger_sec: float) -> None:
        """Begins empty."""
        self._filter_client = filter_client
        self._writer = writer
        self._open_timeout_sec = open_timeout_sec
        self._linger_sec = linger_sec
        self._shared: dict[StreamKey, Subscription] = {}
        self._moved: dict[Subscription, None] = {}
        filter_client.message_handled = self._merge

    async def acquire(self, key: StreamKey, user: User) -> Subscription:
        """The open subscription for `key`, shared with all who ask for the same.

        Every record that is produced after this returns is received after it. The user has to be attached to the
        fan-out, and to call `release`.

        Raises:
            StreamEndedError: the query is wrong.
            UnavailableError: the filter service is away.
        """
        subscription = self._shared.get(key)
        if subscription is None:
            subscription = self._shared[key] = Subscription(key, self._writer, self)
            metrics.SUBSCRIPTIONS.labels("shared").inc()
            subscription.users[user] = None
            for leg in subscription.legs:
                self._filter_client.open(leg)
        else:
            subscription.users[user] = None
            if subscription.linger is not None:
                subscription.linger.cancel()
                subscription.linger = None
        try:
            async with asyncio.timeout(self._open_timeout_sec):
                await subscription.wait_open()
        except BaseException as error:
            self.release(subscription, user)
            if isinstance(error, TimeoutError) or (
                isinstance(error, StreamEndedError) and error.code == CloseCode.UNAVAILABLE
            ):
                raise UnavailableError("filter service") from error
            raise
        return subscription

    def catch_up(self, shared: Subscription, start: Mapping[int, int], user: User) -> Subscription:
        """A private subscription for a socket of `shared` that has fallen behind; the socket is attached to it.

        Args:
            shared: stays acquired.
            start: the socket's position.
            user: is told when it has caught up, or cannot.
        """
        private = Subscription(shared.key, self._writer, self, shared, start)
        private.users[user] = None
        private.fan_out.attach(user)
        shared.privates[private] = None
        metrics.SUBSCRIPTIONS.labels("private").inc()
        for leg in private.legs:
            self._filter_client.open(leg)
        return private

    def release(self, subscription: Subscription, user: User) -> None:
        """`user` needs the subscription no longer. Does nothing when it did not."""
        if user not in subscription.users:
            return
        subscription.fan_out.detach(user)
        del subscription.users[user]
        if subscription.users or subscription.is_over:
            return
        if subscription.shared is None and subscription.was_open and self._linger_sec > 0:
            loop = asyncio.get_running_loop()
            subscription.linger = loop.call_later(self._linger_sec, self._close, subscription)
        else:
            self._close(subscription)

    def forget(self, subscription: Subscription) -> None:
        """It is over: nobody may acquire it any more."""
        if subscription.is_over:
            return
        subscription.is_over = True
        self._moved.pop(subscription, None)
        if subscription.linger is not None:
            subscription.linger.cancel()
        if subscription.shared is not None:
            subscription.shared.privates.pop(subscription, None)
            metrics.SUBSCRIPTIONS.labels("private").dec()
            return
        metrics.SUBSCRIPTIONS.labels("shared").dec()
        if self._shared.get(subscription.key) is subscription:
            del self._shared[subscription.key]

    def moved(self, subscription: Subscription) -> None:
        """A subscription that is, or has, a private one has moved: after the message they may be level."""
        if subscription.shared is not None:
            self._moved[subscription] = None
        self._moved.update(subscription.privates)

    def _close(self, subscription: Subscription) -> None:
        self.forget(subscription)
        for leg in subscription.legs:
            self._filter_client.close(leg)

    def _merge(self) -> None:
        if not self._moved:
            return
        moved, self._moved = self._moved, {}
        for private in moved:
            shared = private.shared
            if (
                shared is not None
                and not private.is_over
                and private.position.is_level_with(shared.position.next_offsets)
            ):
                for user in list(private.users):
                    user.caught_up()
