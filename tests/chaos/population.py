"""The clients of a run: who asks for what, in which format, and in which process. Pure; the same in every run.

In a chaos run there are thirty: two take every record, three a fifth, the others from one to five in a hundred. That
makes about 18,000 deliveries a second at 5,000 records a second, which is what clients written in Python can check on a
part of one core. In a run that looks at memory there are five hundred, who take one in a hundred.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from tests.chaos.records import EVERYTHING, FIFTH, HUNDREDTHS, SELECTIONS, Selection

PROCESSES = 3
STOPPED = 2
"""The process that is stopped in a run that looks at memory."""

CUT = "n,p,at"
"""The `fields` of clients that want little of each record."""


class Format(StrEnum):
    """How a client takes its records, and what it does when its edge is gone."""

    VALUE = "value"
    """Bare values over a WebSocket: begins anew at the end of the topic."""
    RECORD = "record"
    """`format=record` over a WebSocket: resumes from its last position."""
    EVENTS = "events"
    """Server-sent events: resumes with `Last-Event-ID`."""


@dataclass(frozen=True)
class Wish:
    """One client.

    :param number: from 0.
    :param format: how it takes its records.
    :param selection: which records.
    :param fields: how much of each; empty: all.
    :param process: the process it lives in, from 0.
    :param home: the edge that it prefers, as an index.
    """

    number: int
    format: Format
    selection: Selection
    fields: str
    process: int
    home: int

    @property
    def name(self) -> str:
        """What reports call it."""
        return f"client-{self.number} ({self.format}, {self.selection.where or 'everything'})"


def thirty() -> list[Wish]:
    """Of a chaos run. Some ask for the same, and so share a stream at their edge."""
    asked = [
        (Format.VALUE, EVERYTHING, ""),
        (Format.RECORD, EVERYTHING, CUT),
        (Format.EVENTS, FIFTH, CUT),
        (Format.RECORD, FIFTH, ""),
        (Format.VALUE, FIFTH, ""),
    ]
    formats = (Format.RECORD, Format.VALUE, Format.EVENTS, Format.RECORD, Format.VALUE)
    asked += [
        (
            formats[number // PROCESSES % len(formats)],
            SELECTIONS[number // 2 % len(SELECTIONS)],
            CUT if number % 4 else "",
        )
        for number in range(len(asked), 30)
    ]
    # Each process, and each edge, has clients of all formats.
    return [
        Wish(number, *wish, process=number % PROCESSES, home=number // PROCESSES % 2)
        for number, wish in enumerate(asked)
    ]


def five_hundred() -> list[Wish]:
    """Of a run that looks at memory: the last hundred take whole records, and are stopped together."""
    running = [Wish(number, Format.VALUE, SELECTIONS[0], CUT, process=number % 2, home=0) for number in range(400)]
    formats = (Format.VALUE, Format.RECORD)
    stopped = [
        Wish(number, formats[number % 2], HUNDREDTHS[number % len(HUNDREDTHS)], "", process=STOPPED, home=0)
        for number in range(400, 500)
    ]
    return [*running, *stopped]


POPULATIONS: dict[str, Callable[[], list[Wish]]] = {"chaos": thirty, "memory": five_hundred}
"""By the name that client processes are told."""
