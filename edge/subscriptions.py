"""Who shares which subscription (design, "Subscriptions are shared"). One `Subscriptions` per process, event loop.

Sockets that ask for the same hang on one `Subscription`. A socket that begins in the past, or has fallen behind, gets a
private one from there, until both are level; one that ends somewhere has a private one for good.
"""

from __future__ import annotations

import asyncio

from edge import metrics
from edge.errors import CloseCode, StreamEndedError, UnavailableError
from edge.fan_out import Writer
from edge.filter_client import FilterClient
from edge.position_token import TokenPosition
from edge.stream_request import StreamKey, StreamRequest, start_at
from edge.subscription import Listener, Subscription, User


class Subscriptions:
    """All subscriptions of the process.

    Args:
        filter_client: keeps them open.
        writer: writes their records.
        open_timeout_sec: how long opening may take.
        linger_sec: how long a shared one stays open after its last socket has gone.
        position_interval_sec: seconds between positions told on quiet streams.
    """

    def __init__(
        self,
        filter_client: FilterClient,
        writer: Writer,
        open_timeout_sec: float,
        linger_sec: float,
        position_interval_sec: float,
    ) -> None:
        """Begins empty."""
        self._filter_client = filter_client
        self._writer = writer
        self._open_timeout_sec = open_timeout_sec
        self._linger_sec = linger_sec
        self._position_interval_sec = position_interval_sec
        self._listener = Listener(self._note_move, self._forget)
        self._shared: dict[StreamKey, Subscription] = {}
        self._positioned: dict[Subscription, None] = {}
        self._moved: dict[Subscription, None] = {}
        filter_client.message_handled = self._merge

    async def run(self) -> None:
        """Tells positions at an interval until cancelled."""
        while True:
            await asyncio.sleep(self._position_interval_sec)
            for subscription in list(self._positioned):
                subscription.tell_position()

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
            subscription = self._shared[key] = Subscription(key, self._writer, self._listener)
            self._open(subscription, user)
        else:
            subscription.users[user] = None
            if subscription.linger is not None:
                subscription.linger.cancel()
                subscription.linger = None
        await self.wait_open(subscription, user)
        return subscription

    def open_private(
        self, request: StreamRequest, shared: Subscription | None, user: User, *, is_patient: bool = False
    ) -> Subscription:
        """A new subscription for one socket, which is attached to it already; it need not be open yet.

        Args:
            request: where it begins and ends.
            shared: the live stream to return to, which stays acquired; None with a stop.
            user: is told when it has caught up, or has ended.
            is_patient: whether to wait for a replica when none can serve it.
        """
        private = Subscription(
            request.key,
            self._writer,
            self._listener,
            start=request.start,
            stop=request.stop,
            shared=shared,
            is_patient=is_patient,
        )
        if shared is not None:
            shared.privates[private] = None
        private.fan_out.attach(user)
        self._open(private, user)
        return private

    async def wait_open(self, subscription: Subscription, user: User) -> None:
        """Returns once a subscription is open; it is released when it cannot be.

        Raises:
            StreamEndedError: the query or the start is wrong.
            UnavailableError: the filter service is away.
        """
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

    def catch_up(
        self, request: StreamRequest, position: TokenPosition, shared: Subscription | None, user: User
    ) -> Subscription:
        """A private subscription for a socket that has fallen behind; the socket is attached to it.

        Args:
            request: what the socket has asked for.
            position: where it has got to.
            shared, user: as for `open_private`.
        """
        behind = StreamRequest(request.key, start_at(position), request.stop)
        return self.open_private(behind, shared, user, is_patient=True)

    def release(self, subscription: Subscription, user: User) -> None:
        """`user` needs the subscription no longer. Does nothing when it did not."""
        if user not in subscription.users:
            return
        subscription.give_up(user)
        if subscription.users or subscription.is_over:
            return
        is_shared = self._shared.get(subscription.key) is subscription
        if is_shared and subscription.was_open and self._linger_sec > 0:
            loop = asyncio.get_running_loop()
            subscription.linger = loop.call_later(self._linger_sec, self._close, subscription)
        else:
            self._close(subscription)

    def _open(self, subscription: Subscription, user: User) -> None:
        subscription.users[user] = None
        metrics.SUBSCRIPTIONS.labels(self._kind(subscription)).inc()
        if subscription.encoder.tells_positions:
            self._positioned[subscription] = None
        self._filter_client.open(subscription)

    def _kind(self, subscription: Subscription) -> str:
        return "shared" if self._shared.get(subscription.key) is subscription else "private"

    def _close(self, subscription: Subscription) -> None:
        self._forget(subscription)
        self._filter_client.close(subscription)

    def _forget(self, subscription: Subscription) -> None:
        """It is over: nobody may acquire it any more."""
        if subscription.is_over:
            return
        subscription.is_over = True
        metrics.SUBSCRIPTIONS.labels(self._kind(subscription)).dec()
        self._moved.pop(subscription, None)
        self._positioned.pop(subscription, None)
        if subscription.linger is not None:
            subscription.linger.cancel()
        if subscription.shared is not None:
            subscription.shared.privates.pop(subscription, None)
        if self._shared.get(subscription.key) is subscription:
            del self._shared[subscription.key]

    def _note_move(self, subscription: Subscription) -> None:
        """A subscription that is, or has, a private one has moved: after the message they may be level."""
        if subscription.shared is not None:
            self._moved[subscription] = None
        self._moved.update(subscription.privates)

    def _merge(self) -> None:
        if not self._moved:
            return
        moved, self._moved = self._moved, {}
        for private in moved:
            shared = private.shared
            if (
                shared is not None
                and not private.is_over
                and private.was_open
                and private.position.is_level_with(shared.position.next_offsets)
            ):
                for user in list(private.users):
                    user.caught_up()
