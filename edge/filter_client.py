"""The filter tier as the edge sees it: which leg of which subscription is served where.

One `FilterClient` per process, on the event loop. Subscriptions are opened as legs at the replicas that placement
names. A leg is opened again from its position when its session is lost (crash). When the shares have changed (a replica
drains, joins, or the topic grows) new legs are opened where they belong and take the place of the old ones once all
have got as far as these (make before break: `Position` cuts what comes twice). What nobody has served for too long is
given up.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog
from kafka_ws.filter.v1 import filter_pb2

from edge import metrics
from edge.config import EdgeSettings
from edge.errors import CloseCode, StreamEndedError
from edge.fan_out import Writer
from edge.filter_session import Assignment, FilterSession
from edge.leg import Leg, Subscriber
from edge.placement import Share, are_alike, choose, spread
from edge.replicas import Replicas

_log = structlog.get_logger(__name__)

_AVOID_SEC = 0.5
"""How long a replica that had no room for a leg is not asked for it again."""

_SWEEP_SEC = 0.25
"""Between looks for legs that wait, or have waited too long."""

_BALANCE_DELAY_SEC = 0.5
"""From a change to the moving of shares: several that come together cause one move, and short visits none."""

_OVERLAP_SEC = 3.0
"""How long the old legs of a subscription go on next to open new ones. A replica tells where it is with the first
records, or within its `KAFKA_WS_FILTER_PROGRESS_INTERVAL_SEC`; one that does not is no reason to stay."""

_KNOWN_TOPICS = 10_000
"""Topics whose number of partitions is remembered."""


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
        self._replicas = Replicas(settings, self)
        self._subscribers: dict[Subscriber, None] = {}
        self._unbalanced: dict[Subscriber, str] = {}
        self._unserved: dict[Leg, None] = {}
        self._waiting: dict[Leg, None] = {}
        self._moving: dict[Subscriber, float] = {}
        self._partition_counts: dict[str, int] = {}
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
        return len(self._replicas.ready)

    def open(self, subscriber: Subscriber) -> None:
        """Has a subscription served from now on. It is told when a leg begins (`began`) or it cannot be (`ended`)."""
        self._subscribers[subscriber] = None
        subscriber.legs = [Leg(subscriber, share) for share in self._first_shares(subscriber)]
        for leg in subscriber.legs:
            # The first that cannot be placed may have ended it all.
            if subscriber in self._subscribers:
                self._place(leg)

    def close(self, subscriber: Subscriber) -> None:
        """Has a subscription served no longer; it is told nothing any more."""
        self._subscribers.pop(subscriber, None)
        self._unbalanced.pop(subscriber, None)
        self._moving.pop(subscriber, None)
        legs = [*subscriber.legs, *subscriber.next_legs]
        subscriber.legs, subscriber.next_legs = [], []
        for leg in legs:
            self._close_leg(leg)

    async def run(self) -> None:
        """Finds replicas and looks after legs until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._replicas.run())
            tasks.create_task(self._sweep_always())

    # ----------------------------------------------------------------------- what sessions tell (SessionListener)

    def changed(self, session: FilterSession) -> None:
        """A session has come, gone, drains, or its Kafka has."""
        self._replicas.changed(session)
        if session.is_ready:
            for leg in list(self._waiting):
                self._place(leg)
            for subscriber in self._subscribers:
                self._unbalanced.setdefault(subscriber, "balance")
            self._balance_soon()
        elif session.is_connected:
            self._leave(session)

    def opened(self, assignment: Assignment, opened: filter_pb2.Opened) -> None:
        """A leg is served."""
        leg = assignment.leg
        subscriber = leg.subscriber
        if leg.opening is not assignment:
            return
        leg.active, leg.opening = assignment, None
        leg.was_open = True
        leg.behind = _served(opened) if leg not in subscriber.legs else set()
        leg.waiting_since = None
        leg.avoided.clear()
        self._waiting.pop(leg, None)
        self._unserved.pop(leg, None)
        self._learn(subscriber.topic, opened.partition_count)
        subscriber.began(opened)
        self._settle(subscriber)
        if not assignment.session.is_ready:
            # It began to drain meanwhile.
            self._leave(assignment.session)
        else:
            self._unbalanced.setdefault(subscriber, "balance")
            self._balance_soon()

    def level(self, leg: Leg) -> None:
        """A leg is where its subscriber is."""
        self._settle(leg.subscriber)

    def refused(self, assignment: Assignment, rejection: filter_pb2.Rejection) -> None:
        """A leg is not served there, or no longer."""
        leg = assignment.leg
        subscriber = leg.subscriber
        self._drop(assignment)
        if leg in subscriber.next_legs:
            self._abandon(subscriber)
        elif rejection.code == filter_pb2.REJECTION_CODE_UNAVAILABLE:
            leg.avoided[assignment.session.address] = asyncio.get_running_loop().time() + _AVOID_SEC
            self._place(leg)
        else:
            code = rejection.code if 4000 <= rejection.code <= 4999 else CloseCode.INTERNAL
            self._give_up(subscriber, StreamEndedError(code, rejection.reason))

    def completed(self, assignment: Assignment) -> None:
        """A leg has delivered everything before the stop."""
        leg = assignment.leg
        subscriber = leg.subscriber
        self._drop(assignment)
        leg.is_complete = True
        self._settle(subscriber)
        if all(each.is_complete for each in subscriber.legs):
            self.close(subscriber)
            subscriber.completed()

    def topic_changed(self, assignment: Assignment, change: filter_pb2.TopicChanged) -> None:
        """The topic of a leg has appeared or grown."""
        subscriber = assignment.leg.subscriber
        self._learn(subscriber.topic, change.partition_count)
        subscriber.changed(change.topic_id)
        self._unbalanced.setdefault(subscriber, "balance")
        self._balance_soon()

    def lost(self, assignments: list[Assignment]) -> None:
        """Legs have lost their session."""
        for assignment in assignments:
            leg = assignment.leg
            subscriber = leg.subscriber
            self._drop(assignment)
            if leg in subscriber.next_legs:
                self._abandon(subscriber)
            elif leg in subscriber.legs and self._may_take_over(subscriber):
                # What was to be left is gone already.
                self._take_over(subscriber)
            elif leg in subscriber.legs:
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

    # ---------------------------------------------------------------------------------------------------- one leg

    @staticmethod
    def _drop(assignment: Assignment) -> None:
        leg = assignment.leg
        if leg.active is assignment:
            leg.active = None
        if leg.opening is assignment:
            leg.opening = None

    def _close_leg(self, leg: Leg) -> None:
        self._waiting.pop(leg, None)
        self._unserved.pop(leg, None)
        for assignment in (leg.active, leg.opening):
            if assignment is not None:
                assignment.close()
        leg.active = leg.opening = None

    def _place(self, leg: Leg, cause: str | None = None) -> None:
        """Opens a leg that nobody serves where it belongs, else at the next best replica, or has it wait."""
        subscriber = leg.subscriber
        now = asyncio.get_running_loop().time()
        candidates = [each for each in self._replicas.ready if leg.avoided.get(each, now) <= now]
        home = leg.share.replica
        address = home if home in candidates else choose(subscriber.topic, leg.first_partition, candidates)
        if address is not None:
            self._waiting.pop(leg, None)
            self._note_waiting(leg)
            leg.opening = self._replicas.session(address).open(leg)
            if cause is not None:
                metrics.MOVES.labels(cause).inc()
        elif leg.was_open or subscriber.is_patient:
            self._note_waiting(leg)
            self._waiting[leg] = None
        else:
            self._give_up(subscriber, StreamEndedError.of(CloseCode.UNAVAILABLE))

    def _note_waiting(self, leg: Leg) -> None:
        if leg.waiting_since is None:
            leg.waiting_since = asyncio.get_running_loop().time()
            self._unserved[leg] = None

    # ------------------------------------------------------------------------------------------ all legs of a stream

    def _learn(self, topic: str, partition_count: int) -> None:
        # Put last: what is forgotten first is what nobody has opened for the longest time.
        self._partition_counts.pop(topic, None)
        self._partition_counts[topic] = partition_count
        if len(self._partition_counts) > _KNOWN_TOPICS:
            del self._partition_counts[next(iter(self._partition_counts))]

    def _shares(self, subscriber: Subscriber) -> list[Share]:
        """Who should serve what of a subscription now; never empty."""
        count = self._partition_counts.get(subscriber.topic, 0)
        return spread(subscriber.topic, count, self._replicas.ready) or [Share("")]

    def _first_shares(self, subscriber: Subscriber) -> list[Share]:
        """As `_shares`, but one for all partitions where records flow before it is known where they begin.

        Else positions would be told in which the partitions of legs that are not open yet are missing.
        """
        is_known = subscriber.start is not None and subscriber.start.HasField("position")
        is_live = subscriber.start is None and subscriber.stop is None
        return self._shares(subscriber) if is_known or is_live else [Share("")]

    def _respread(self, subscriber: Subscriber, cause: str) -> None:
        """Opens legs as they should be; those that are keep serving until all others are level with them."""
        settled = all(leg.is_complete or (leg.active and not leg.opening) for leg in subscriber.legs)
        if subscriber.next_legs or not settled or not self._replicas.ready:
            return
        shares = self._shares(subscriber)
        served = [replace(leg.share, replica=leg.active.session.address) for leg in subscriber.legs if leg.active]
        count = self._partition_counts.get(subscriber.topic, 0)
        if len(served) == len(subscriber.legs) and are_alike(count, shares, served):
            return
        kept = {
            leg.share: leg for leg in subscriber.legs if leg.active and leg.active.session.address == leg.share.replica
        }
        subscriber.next_legs = [kept.get(share) or Leg(subscriber, share, was_open=True) for share in shares]
        self._moving[subscriber] = asyncio.get_running_loop().time()
        metrics.MOVES.labels(cause).inc()
        for leg in list(subscriber.next_legs):
            if leg.active is None and leg in subscriber.next_legs:
                leg.opening = self._replicas.session(leg.share.replica).open(leg)
        self._settle(subscriber)

    def _settle(self, subscriber: Subscriber) -> None:
        """Lets the next legs take over once all of them are where the subscriber is."""
        if subscriber.next_legs and all(leg.is_level for leg in subscriber.next_legs):
            self._take_over(subscriber)

    @staticmethod
    def _may_take_over(subscriber: Subscriber) -> bool:
        """Whether there are next legs, and all are open."""
        return bool(subscriber.next_legs) and all(leg.active or leg.is_complete for leg in subscriber.next_legs)

    def _take_over(self, subscriber: Subscriber) -> None:
        self._moving.pop(subscriber, None)
        before, subscriber.legs, subscriber.next_legs = subscriber.legs, subscriber.next_legs, []
        for leg in subscriber.legs:
            leg.behind.clear()
        for leg in before:
            if leg not in subscriber.legs:
                self._close_leg(leg)
        # Shares that have changed meanwhile were left for later.
        self._unbalanced.setdefault(subscriber, "balance")
        self._balance_soon()

    def _abandon(self, subscriber: Subscriber) -> None:
        """Goes on with the legs that are, and tries again later."""
        self._moving.pop(subscriber, None)
        attempted, subscriber.next_legs = subscriber.next_legs, []
        for leg in attempted:
            if leg not in subscriber.legs:
                self._close_leg(leg)
            elif leg.active is None and leg.opening is None and not leg.is_complete:
                # One that was to be kept is gone too.
                self._place(leg, "lost")
        if subscriber in self._subscribers:
            self._unbalanced.setdefault(subscriber, "balance")
            self._balance_soon()

    def _give_up(self, subscriber: Subscriber, error: StreamEndedError) -> None:
        self.close(subscriber)
        subscriber.ended(error)

    def _leave(self, session: FilterSession) -> None:
        """Moves everything away from a replica that goes, or has no Kafka."""
        cause = "drain" if session.is_draining else "kafka_away"
        for subscriber in {each.leg.subscriber: None for each in session.assignments}:
            self._respread(subscriber, cause)

    def _balance_soon(self) -> None:
        if self._balance_handle is None:
            self._balance_handle = asyncio.get_running_loop().call_later(_BALANCE_DELAY_SEC, self._balance)

    def _balance(self) -> None:
        self._balance_handle = None
        unbalanced, self._unbalanced = self._unbalanced, {}
        for subscriber, cause in unbalanced.items():
            self._respread(subscriber, cause)

    # ----------------------------------------------------------------------------------------------------- patience

    async def _sweep_always(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SEC)
            self._sweep()

    def _sweep(self) -> None:
        """Tries legs that wait again, leaves replicas that still go, ends what has taken or waited too long."""
        now = asyncio.get_running_loop().time()
        for subscriber, since in list(self._moving.items()):
            if since <= now - _OVERLAP_SEC and self._may_take_over(subscriber):
                self._take_over(subscriber)
        too_long_ago = now - self._settings.server_unavailable_timeout_sec
        for leg in list(self._waiting):
            self._place(leg)
        given_up = [
            leg for leg in self._unserved if leg.waiting_since is not None and leg.waiting_since <= too_long_ago
        ]
        for session in [each for each in self._replicas.sessions if not each.is_ready]:
            self._leave(session)
            if session.kafka_lost_at is not None and session.kafka_lost_at <= too_long_ago:
                given_up += [assignment.leg for assignment in session.assignments]
        for subscriber in {leg.subscriber: None for leg in given_up}:
            self._give_up(subscriber, StreamEndedError.of(CloseCode.UNAVAILABLE))


def _served(opened: filter_pb2.Opened) -> set[int]:
    """The partitions of which something will be told."""
    stops = opened.stop.next_offsets if opened.HasField("stop") else {}
    return {number for number, offset in opened.start.next_offsets.items() if offset < stops.get(number, offset + 1)}
