"""From the books of a run to its report: what was done, what was checked, what was wrong, and how long it was felt.

Pure. A run is good when nothing was lost, nothing came twice, nobody got what he had not asked for, every client had
everything at the end, and every stream that an edge ended had a reason. Stalls have goals, which are told but decide
nothing: on a machine that is busy with other things they say more about that.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.chaos.books import Books, Span
from tests.chaos.connection import GONE
from tests.chaos.plan import Fault
from tests.chaos.population import PROCESSES, Wish
from tests.chaos.reference import NOBODY, REFERENCE
from tests.chaos.reporting import Note

STALL_GOALS_SEC = {Fault.FILTER_KILL: 2.0, Fault.FILTER_DRAIN: 0.25}

_GOING_AWAY = 1001

_LATE_SEC = 30.0
"""How long after its edge has gone a client may notice: it may be stopped meanwhile."""

_AWAY_STATUSES = (0, 503)
"""What a client may be answered while something is away; 0 is no answer."""

_SHOWN_PROBLEMS = 20


@dataclass
class Stall:
    """How long one kind of fault was felt.

    :param count: how often it came.
    :param alone: of these, without another fault at the same time.
    :param longest_sec: from writing to arrival, of the latest record while it was felt alone; None: never alone.
    :param longest_together_sec: the same of those that came together with another.
    :param caught_up_sec: longest time in which those who were stopped got level; None: nobody was.
    :param kafka_sec: how late the records of a plain Kafka consumer were meanwhile.
    """

    count: int = 0
    alone: int = 0
    longest_sec: float | None = None
    longest_together_sec: float | None = None
    caught_up_sec: float | None = None
    kafka_sec: float = 0.0

    def add(self, span: Span, delay: float, kafka: float) -> None:
        """One more."""
        self.count += 1
        self.kafka_sec = max(self.kafka_sec, kafka)
        if span.overlaps:
            self.longest_together_sec = max(delay, self.longest_together_sec or 0.0)
        else:
            self.alone += 1
            self.longest_sec = max(delay, self.longest_sec or 0.0)
        if span.caught_up_sec is not None:
            self.caught_up_sec = max(span.caught_up_sec, self.caught_up_sec or 0.0)


@dataclass
class Verdict:
    """The report of a run.

    :param seed: of all chance.
    :param seconds: from the first record to the last.
    :param written: number of records.
    :param checked, lost, duplicated, unwanted: summed up over all clients.
    :param streams: how often clients have opened one.
    :param closes: close code -> how many streams edges have ended with it.
    :param stalls: by kind of fault.
    :param calm_p99_sec: 99th percentile of the worst delays of each tenth of a second in which nothing was felt.
    :param problems: sentences; none in a good run.
    """

    seed: int
    seconds: float
    written: int
    clients: int
    checked: int = 0
    lost: int = 0
    duplicated: int = 0
    unwanted: int = 0
    streams: int = 0
    closes: dict[str, int] = field(default_factory=dict)
    stalls: dict[str, Stall] = field(default_factory=dict)
    calm_p99_sec: float | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether the run has passed."""
        return not (self.lost or self.duplicated or self.unwanted or self.problems)

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return {"passed": self.is_good, **asdict(self)}

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}, {self.seconds:.0f} s, {self.written:,} records written, {self.clients} clients, "
            f"{self.streams} streams",
            f"checked {self.checked:,}, lost {self.lost}, duplicated {self.duplicated}, unwanted {self.unwanted}",
            f"streams ended by edges: {self.closes or 'none'}",
            "",
            f"{'longest stall after':24}{'times':>7}{'alone':>9}{'with others':>13}{'caught up':>11}"
            f"{'goal':>8}{'Kafka alone':>13}",
        ]
        for kind, stall in sorted(self.stalls.items()):
            goal = STALL_GOALS_SEC.get(Fault(kind)) if kind in list(Fault) else None
            lines.append(
                f"{kind:24}{stall.count:7}{_seconds(stall.longest_sec):>9}{_seconds(stall.longest_together_sec):>13}"
                f"{_seconds(stall.caught_up_sec):>11}{_seconds(goal):>8}{_seconds(stall.kafka_sec):>13}"
            )
        lines += [f"{'no fault (99 %)':31}{_seconds(self.calm_p99_sec):>9}", ""]
        lines += self.problems[:_SHOWN_PROBLEMS]
        if len(self.problems) > _SHOWN_PROBLEMS:
            lines.append(f"... and {len(self.problems) - _SHOWN_PROBLEMS} more problems")
        lines.append("passed" if self.is_good else "FAILED")
        return "\n".join(lines)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def judge(books: Books, wishes: Sequence[Wish], seed: int, seconds: float, ends: Sequence[int]) -> Verdict:
    """The report.

    :param wishes: of the clients.
    :param seconds: length of the run.
    :param ends: number of records of each partition.
    """
    verdict = Verdict(seed, seconds, sum(ends), len(books.states))
    for state in books.states.values():
        verdict.checked += state.checked
        verdict.lost += state.lost
        verdict.duplicated += state.duplicated
        verdict.unwanted += state.unwanted
    verdict.problems += books.problems
    _judge_notes(verdict, books, wishes)
    stalls: defaultdict[str, Stall] = defaultdict(Stall)
    for span in books.spans:
        if span.ended is not None:
            asked = set(range(PROCESSES)) - {span.stopped}
            delay = books.longest_delay(span.begun, span.ended, asked)
            stalls[span.kind].add(span, delay, books.longest_delay(span.begun, span.ended, {REFERENCE}))
    verdict.stalls = dict(stalls)
    calm = sorted(books.delays_outside(books.spans))
    verdict.calm_p99_sec = calm[int(len(calm) * 0.99)] if calm else None
    return verdict


def _judge_notes(verdict: Verdict, books: Books, wishes: Sequence[Wish]) -> None:
    names = {wish.number: wish.name for wish in wishes} | {NOBODY: "the reference"}
    closes: defaultdict[str, int] = defaultdict(int)
    for note in books.notes:
        name = names[note.client]
        if note.what == "opened":
            verdict.streams += 1
        elif note.what == "problem":
            verdict.problems.append(f"{name} at edge-{note.edge + 1}: {note.text}")
        elif note.what == "refused" and note.code not in _AWAY_STATUSES:
            verdict.problems.append(f"{name} was refused by edge-{note.edge + 1}: {note.text}")
        elif note.what == "closed":
            closes[str(note.code)] += 1
            if not _has_reason(note, books.spans):
                verdict.problems.append(f"{name} was closed by edge-{note.edge + 1} with {note.code}, without a reason")
    verdict.closes = dict(closes)


def _has_reason(close: Note, spans: Sequence[Span]) -> bool:
    return close.code in (GONE, _GOING_AWAY) and any(
        span.kind in (Fault.EDGE_KILL, Fault.EDGE_DRAIN)
        and span.target == f"edge-{close.edge + 1}"
        and span.begun <= close.at <= (span.ended or close.at) + _LATE_SEC
        for span in spans
    )
