"""A part of the local run: what to execute, and how to tell that it is ready.

Built by the modules of the single parts (`local_redis`, `local_broker`, `services`, `demo_producer`), run by
`supervisor`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum


class Layer(IntEnum):
    """What rests on what. Parts are stopped from the highest layer to the lowest."""

    STORES = 0
    TICKET_SERVICE = 1
    FILTERS = 2
    EDGES = 3
    DEMO = 4


@dataclass(frozen=True)
class Part:
    """One process of the local run.

    Attributes:
        name: unique, as shown to people, e.g. `filter-1`.
        layer: when it is stopped.
        command: program and arguments.
        environment: gives the complete environment; asked at every start, since addresses may have changed.
        address: gives `host:port`, or `-` for a part that listens nowhere; valid once the part is ready.
        is_ready: whether the process with the given pid does its work now. Asked again and again until it says yes.
        follows: names of parts whose address is in the environment: at a new address of theirs this part is restarted.
        keeps_address: whether it has the same address after a crash.
        waits_for: what has to answer before the part is ready, in words; told when it does not become ready.
    """

    name: str
    layer: Layer
    command: Sequence[str]
    environment: Callable[[], Mapping[str, str]]
    address: Callable[[], str]
    is_ready: Callable[[int], Awaitable[bool]]
    follows: Sequence[str] = ()
    keeps_address: bool = True
    waits_for: str = ""


@dataclass
class Backoff:
    """How long to wait before a part is started again: 1 s, doubled for each crash in a row, up to 30 s.

    The numbers are of the kind that Kubernetes uses (10 s to 5 min there), scaled to a person who is watching.
    """

    initial: float = 1.0
    longest: float = 30.0
    forgiven_after: float = 60.0
    _crashes: int = 0

    def next_delay(self, ran_for: float) -> float:
        """Seconds to wait now.

        Args:
            ran_for: seconds that the part had been ready; a long run makes earlier crashes forgotten.
        """
        if ran_for >= self.forgiven_after:
            self._crashes = 0
        delay = min(self.initial * 2.0**self._crashes, self.longest)
        self._crashes += 1
        return delay


def describe_exit(status: int) -> str:
    """How a process ended, to follow its name: `exited with code 1`, `was killed by signal 9`.

    Args:
        status: as `subprocess.Popen.returncode`, negative for a signal.
    """
    if status >= 0:
        return f"exited with code {status}"
    return f"was killed by signal {-status}"
