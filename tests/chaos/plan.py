"""Which faults come when: everything that chance decides before a run. Pure.

A run goes through rounds; each round has every kind of fault once, in an order of its own. Some come while another is
still felt: never two that would leave a client without any edge, or Kafka without its majority.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """What is done to the system."""

    FILTER_KILL = "filter kill"
    FILTER_DRAIN = "filter drain"
    FILTER_ADD = "filter add"
    EDGE_KILL = "edge kill"
    EDGE_DRAIN = "edge drain"
    EDGE_STOP = "edge stop"
    BROKER_KILL = "broker kill"
    BROKER_STOP = "broker stop"
    REDIS_RESTART = "redis restart"
    CLIENT_STOP = "client stop"
    NETWORK_CUT = "network cut"
    NETWORK_SILENCE = "network silence"
    NETWORK_HALF_OPEN = "network half-open"

    @property
    def victim(self) -> str:
        """What it is done to; only faults of different victims come together."""
        return self.split(" ")[0]


@dataclass(frozen=True)
class Plan:
    """How long, how hard.

    :param seconds: in which new faults begin; the first round is finished in any case, unless `limit_sec` ends it.
    :param limit_sec: after which no fault begins, so that a run has an end on a machine on which everything is slow.
    :param rate: records written a second.
    :param hold_sec: least and most time for which a fault lasts.
    :param pause_sec: least and most time between two.
    :param client_stop_sec: how long a client process is stopped.
    :param edge_stop_sec: how long an edge is stopped.
    :param broker_stop_sec: how long a broker is stopped.
    :param half_open_sec: after which a half-open connection is reset; None: never, it has to be noticed.
    :param overlap_share: part of the faults that come while another is felt.
    :param patience_sec: how long to wait until all are level before the run goes on anyway; whoever is not is found at
        the end.
    :param stuck_sec: time without any record of a partition after which a client counts as stuck.
    :param faults: the kinds of a round.
    """

    seconds: float
    rate: int = 5_000
    hold_sec: tuple[float, float] = (1.0, 6.0)
    pause_sec: tuple[float, float] = (0.2, 3.0)
    client_stop_sec: float = 20.0
    edge_stop_sec: float = 10.0
    broker_stop_sec: float = 20.0
    half_open_sec: float | None = None
    overlap_share: float = 0.3
    patience_sec: float = 20.0
    limit_sec: float = math.inf
    stuck_sec: float = 60.0
    faults: tuple[Fault, ...] = tuple(Fault)


SHORT = Plan(
    seconds=45.0,
    rate=2_000,
    hold_sec=(0.3, 1.5),
    pause_sec=(0.0, 0.3),
    client_stop_sec=4.0,
    edge_stop_sec=2.5,
    broker_stop_sec=6.0,
    half_open_sec=2.0,
    overlap_share=0.6,
    patience_sec=10.0,
    limit_sec=90.0,
    stuck_sec=60.0,
)
"""For `make test`: one round of everything, at a rate that leaves something of two cores for whatever else runs."""


def rounds(dice: random.Random, plan: Plan) -> Iterator[list[tuple[Fault, ...]]]:
    """Rounds without end; each is a list of faults to begin one after the other, alone or in pairs."""
    while True:
        left = list(plan.faults)
        dice.shuffle(left)
        steps: list[tuple[Fault, ...]] = []
        while left:
            first = left.pop()
            others = [fault for fault in left if fault.victim != first.victim]
            if others and dice.random() < plan.overlap_share:
                left.remove(others[0])
                steps.append((first, others[0]))
            else:
                steps.append((first,))
        yield steps
