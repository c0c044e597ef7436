"""The filter tier as the edge sees it: which replicas there are, and which leg is served where.

One `FilterClient` per process, on the event loop. Subscriptions hand in legs; the client finds replicas, keeps one
session to each, opens every leg at the replica that placement names, opens it again from its position when a session
is lost (crash), moves it before a replica stops (drain) or when another should have it (make before break: opened
there first, then closed here; `Position` cuts what comes twice), and gives up on legs that nobody has served for too
long.
"""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

import grpc
import grpc.aio
import structlog
from kafka_ws.filter.v1 import filter_pb2

from edge import metrics
from edge.config import EdgeSettings
from edge.errors import CloseCode, StreamEndedError
from edge.fan_out import Writer
from edge.filter_session import Assignment, FilterSession
from edge.leg import Leg
from edge.placement import choose, resolve
from runtime import tls
from runtime.grpc_server import CHANNEL_OPTIONS

_log = structlog.get_logger(__name__)

_AVOID_SEC = 0.5
"""How long a replica that had no room for a leg is not asked for it again."""

_SWEEP_SEC = 0.25
"""Between looks for legs that wait, or have waited too long."""

_BALANCE_DELAY_SEC = 0.5
"""From a replica's coming to the moving of its share: several that come together cause one move, not several."""


class FilterClient:
    """Places legs on replicas.

    Args:
        settings: addresses and times.
        writer: says when reading must pause.
    """

    def __init__(self, settings: EdgeSettings, writer: Writer) -> None:
        """Begins without replicas; `run` finds them."""
        self._settings = settings
        self._writer = writer
        self._credentials = tls.channel_credentials(settings)
        self._sessions: dict[str, FilterSession] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._listed: set[str] = set()
        self._unserved: dict[Leg, None] = {}
        self._waiting: dict[Leg, None] = {}
        self._resolve_now = asyncio.Event()
        self._balance_handle: asyncio.TimerHandle | None = None
        self.message_handled: Callable[[], None] = lambda: None
        """Called after each message of any session; set by `Subscriptions`."""

    # ------------------------------------------------------------------------------------------- what others call

    @property
    def is_ready(self) -> bool:
        """Whether any replica can open subscriptions."""
        return self.ready_count > 0

    @property
    def ready_count(self) -> int:
        """Number of replicas that can open subscriptions."""
        return sum(session.is_ready for session in self._sessions.values())

    def open(self, leg: Leg) -> None:
        """Has a leg served from now on. Its subscriber is told when it begins (`began`) or cannot (`ended`)."""
        self._place(leg)

    def close(self, leg: Leg) -> None:
        """Has a leg served no longer; its subscriber is told nothing any more."""
        self._waiting.pop(leg, None)
        self._unserved.pop(leg, None)
        for assignment in (leg.active, leg.opening):
            if assignment is not None:
                assignment.close()
        leg.active = leg.opening = None

    async def run(self) -> None:
        """Finds replicas and looks after legs until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._resolve_always())
                tasks.create_task(self._sweep_always())
        finally:
            sessions = list(self._tasks.values())
            for task in sessions:
                task.cancel()
            await asyncio.gather(*sessions, return_exceptions=True)

    # ---------------------------------------------------------------------------------------------------- replicas

    async def _resolve_always(self) -> None:
        while True:
            self._resolve_now.clear()
            found = await resolve(self._settings.filter_address)
            if found:
                self._list(found)
            else:
                _log.warning("the filter service's address has no known host", address=self._settings.filter_address)
            try:
                async with asyncio.timeout(self._settings.filter_resolve_interval_sec):
                    await self._resolve_now.wait()
                # Failures come in groups, and a resolver is not to be hammered.
                await asyncio.sleep(_SWEEP_SEC)
            except TimeoutError:
                pass

    def _list(self, found: dict[str, str]) -> None:
        self._listed = set(found)
        for address, host in found.items():
            if address not in self._sessions:
                session = FilterSession(address, partial(self._connect, address, host), self)
                self._sessions[address] = session
                self._tasks[address] = asyncio.create_task(session.run(), name=f"session {address}")
        for address in [each for each in self._sessions if each not in self._listed]:
            # A replica that is not ready may be hidden from the resolver: as long as the stream stands, it is used.
            if not self._sessions[address].is_connected:
                del self._sessions[address]
                self._tasks.pop(address).cancel()
        self._count()

    def _connect(self, address: str, host: str) -> grpc.aio.Channel:
        options: list[tuple[str, str | int]] = [*CHANNEL_OPTIONS]
        if self._credentials is None:
            return grpc.aio.insecure_channel(address, options=options)
        # The certificate is for the name, the connection goes to one of its addresses.
        options += [("grpc.ssl_target_name_override", host), ("grpc.default_authority", host)]
        return grpc.aio.secure_channel(address, self._credentials, options=options)

    def _count(self) -> None:
        sessions = self._sessions.values()
        metrics.FILTER_REPLICAS.labels("ready").set(sum(session.is_ready for session in sessions))
        metrics.FILTER_REPLICAS.labels("not_ready").set(sum(not session.is_ready for session in sessions))

    # ----------------------------------------------------------------------- what sessions tell (SessionListener)

    def changed(self, session: FilterSession) -> None:
        """A session has come, gone, drains, or its Kafka has."""
        self._count()
        if not session.is_connected:
            self._resolve_now.set()
        if session.is_ready:
            for leg in list(self._waiting):
                self._place(leg)
            self._balance_soon()
        elif session.is_connected:
            cause = "drain" if session.is_draining else "kafka_away"
            self._move_all(session, cause)

    def opened(self, assignment: Assignment, opened: filter_pb2.Opened) -> None:
        """A leg is served: there, and no longer elsewhere."""
        leg = assignment.leg
        if leg.opening is not assignment:
            return
        before, leg.active, leg.opening = leg.active, assignment, None
        leg.was_open = True
        leg.waiting_since = None
        leg.avoided.clear()
        self._waiting.pop(leg, None)
        self._unserved.pop(leg, None)
        if before is not None:
            before.close()
        leg.subscriber.began(opened)
        if not assignment.session.is_ready:
            # It began to drain meanwhile.
            self._move([leg], "drain")

    def refused(self, assignment: Assignment, rejection: filter_pb2.Rejection) -> None:
        """A leg is not served there."""
        leg = assignment.leg
        is_move = assignment is leg.opening and leg.active is not None
        self._drop(assignment)
        if rejection.code == filter_pb2.REJECTION_CODE_UNAVAILABLE or is_move:
            leg.avoided[assignment.session.address] = asyncio.get_running_loop().time() + _AVOID_SEC
            if leg.active is None and leg.opening is None:
                self._place(leg)
        else:
            code = rejection.code if 4000 <= rejection.code <= 4999 else CloseCode.INTERNAL
            self._give_up(leg, StreamEndedError(code, rejection.reason))

    def lost(self, assignments: list[Assignment]) -> None:
        """Legs have lost their session."""
        for assignment in assignments:
            leg = assignment.leg
            self._drop(assignment)
            if leg.active is None and leg.opening is None:
                self._place(leg, "lost")

    def handled(self) -> None:
        """A message is handled."""
        self.message_handled()

    @property
    def has_room(self) -> bool:
        """Whether reading may go on."""
        return self._writer.has_room

    async def room(self) -> None:
        """Waits until reading may go on."""
        await self._writer.room()

    # --------------------------------------------------------------------------------------------------- placement

    def _drop(self, assignment: Assignment) -> None:
        leg = assignment.leg
        if leg.active is assignment:
            leg.active = None
        if leg.opening is assignment:
            leg.opening = None

    def _candidates(self, leg: Leg) -> list[str]:
        ready = [address for address, session in self._sessions.items() if session.is_ready]
        if not leg.avoided:
            return ready
        now = asyncio.get_running_loop().time()
        return [address for address in ready if leg.avoided.get(address, now) <= now]

    def _place(self, leg: Leg, cause: str | None = None) -> None:
        """Opens a leg that nobody serves, or has it wait."""
        address = choose(leg.subscriber.topic, None, self._candidates(leg))
        if address is not None:
            self._waiting.pop(leg, None)
            self._note_waiting(leg)
            leg.opening = self._sessions[address].open(leg)
            if cause is not None:
                metrics.MOVES.labels(cause).inc()
        elif leg.was_open or leg.is_patient:
            self._note_waiting(leg)
            self._waiting[leg] = None
        else:
            self._give_up(leg, StreamEndedError.of(CloseCode.UNAVAILABLE))

    def _note_waiting(self, leg: Leg) -> None:
        if leg.waiting_since is None:
            leg.waiting_since = asyncio.get_running_loop().time()
            self._unserved[leg] = None

    def _move(self, legs: Iterable[Leg], cause: str) -> None:
        """Opens legs where they belong; where they are, they stay open until then."""
        for leg in legs:
            if leg.opening is not None:
                continue
            address = choose(leg.subscriber.topic, None, self._candidates(leg))
            if address is None or (leg.active is not None and leg.active.session.address == address):
                continue
            leg.opening = self._sessions[address].open(leg)
            metrics.MOVES.labels(cause).inc()

    def _move_all(self, session: FilterSession, cause: str) -> None:
        self._move([each.leg for each in session.assignments if each is each.leg.active], cause)

    def _balance_soon(self) -> None:
        if self._balance_handle is None:
            self._balance_handle = asyncio.get_running_loop().call_later(_BALANCE_DELAY_SEC, self._balance)

    def _balance(self) -> None:
        self._balance_handle = None
        for session in list(self._sessions.values()):
            self._move_all(session, "balance")

    # ----------------------------------------------------------------------------------------------------- patience

    async def _sweep_always(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SEC)
            self._sweep()

    def _sweep(self) -> None:
        """Tries legs that wait again, moves those whose replica still drains, ends those that have waited too long."""
        too_long_ago = asyncio.get_running_loop().time() - self._settings.server_unavailable_timeout_sec
        for leg in list(self._waiting):
            self._place(leg)
        given_up = [
            leg for leg in self._unserved if leg.waiting_since is not None and leg.waiting_since <= too_long_ago
        ]
        for session in [each for each in self._sessions.values() if not each.is_ready]:
            self._move_all(session, "drain")
            if session.kafka_lost_at is not None and session.kafka_lost_at <= too_long_ago:
                given_up += [assignment.leg for assignment in session.assignments]
        for leg in given_up:
            self._give_up(leg, StreamEndedError.of(CloseCode.UNAVAILABLE))

    def _give_up(self, leg: Leg, error: StreamEndedError) -> None:
        self.close(leg)
        leg.subscriber.ended(error)
