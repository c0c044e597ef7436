"""What makes a run a bad one, and how stalls are told."""

import json

import pytest

from tests.chaos.books import Books
from tests.chaos.plan import Fault
from tests.chaos.population import PROCESSES, thirty
from tests.chaos.reporting import BUCKET_SEC, ClientState, Note, Report
from tests.chaos.verdict import Verdict, judge

ENDS = [100] * 6


def state(number: int, **changed: int) -> ClientState:
    counts = {"checked": 10, "lost": 0, "duplicated": 0, "unwanted": 0} | changed
    return ClientState(number, 0, list(ENDS), **counts)


def books(*changes: dict[str, int], notes: tuple[Note, ...] = ()) -> Books:
    """Of a run in which all went well but for the changes of the first clients' states."""
    found = Books()
    for process in range(PROCESSES):
        clients = [
            state(number, **(changes[number] if number < len(changes) else {}))
            for number in range(process, 30, PROCESSES)
        ]
        line = Report(process, clients, [], list(notes) if process == 0 else []).encode()
        found.take(Report.decode(line))
    return found


def verdict(found: Books) -> Verdict:
    return judge(found, thirty(), 1, 60.0, ENDS)


def test_a_good_run() -> None:
    """Without a fault among the records or elsewhere the run has passed; the report says what was checked."""
    good = verdict(books())
    assert good.is_good
    assert (good.checked, good.written, good.clients) == (300, 600, 30)
    assert json.loads(json.dumps(good.as_json()))["passed"] is True
    assert str(good).endswith("passed")


@pytest.mark.parametrize("fault", ["lost", "duplicated", "unwanted"])
def test_one_wrong_record_is_enough(fault: str) -> None:
    """One record that is lost, comes twice or was not asked for, at one client, makes a bad run."""
    bad = verdict(books({}, {fault: 1}))
    assert not bad.is_good
    assert f"{fault} 1" in str(bad)


@pytest.mark.parametrize(
    "note",
    [
        Note(5.0, 3, "problem", 0, text="cannot be read"),
        Note(5.0, 3, "refused", 0, 401, "Invalid ticket"),
        Note(5.0, 3, "closed", 0, 4503),
        Note(5.0, 3, "closed", 0, 1006),
        Note(5.0, 3, "closed", 1, 1001),
        Note(2.0, 3, "closed", 0, 1001),
    ],
    ids=lambda note: f"{note.what} {note.code} at {note.at:g} s by {note.edge}",
)
def test_what_has_no_excuse(note: Note) -> None:
    """Unreadable data, a wrong refusal, and an end without a fault of that edge at that time make a bad run."""
    found = books(notes=(note,))
    span = found.begin(Fault.FILTER_KILL, "edge-1")
    found.end(span)
    span = found.begin(Fault.EDGE_DRAIN, "edge-1")
    span.begun, span.ended = 3.0, 4.0
    if note.code == 1006:
        found.spans.clear()
    bad = verdict(found)
    assert not bad.is_good
    assert "client-3" in bad.problems[0]


def test_what_has_an_excuse() -> None:
    """Streams of an edge that is killed or drained may end, and edges may be away for a while."""
    notes = (
        Note(5.0, 3, "closed", 0, 1006),
        Note(5.0, 4, "closed", 0, 1001),
        Note(5.0, 3, "refused", 0, 503),
        Note(5.0, 3, "refused", 0, 0, "no answer"),
        Note(5.1, 3, "opened", 1),
    )
    found = books(notes=notes)
    span = found.begin(Fault.EDGE_KILL, "edge-1")
    span.begun, span.ended = 3.0, 4.0
    good = verdict(found)
    assert good.is_good
    assert good.closes == {"1006": 1, "1001": 1}
    assert good.streams == 1


def test_stalls() -> None:
    """The latest record within a fault counts for it; who is stopped himself is not asked; what overlaps is apart."""
    found = books()

    def span(kind: str, begun: float, ended: float, stopped: int | None = None, overlaps: bool = False) -> None:
        made = found.begin(kind, "somebody", stopped)
        made.begun, made.ended, made.overlaps = begun, ended, overlaps

    def delay(process: int, at: float, seconds: float) -> None:
        found.take(Report(process, [], [(int(at / BUCKET_SEC), seconds)]))

    span(Fault.FILTER_KILL, 10.0, 12.0)
    span(Fault.FILTER_KILL, 20.0, 22.0, overlaps=True)
    span(Fault.CLIENT_STOP, 30.0, 32.0, stopped=1)
    for process, at, seconds in ((0, 5, 0.1), (0, 11, 0.7), (1, 11.5, 0.9), (2, 21, 3.0), (1, 31, 9.0), (0, 31, 0.2)):
        delay(process, at, seconds)
    delay(PROCESSES, 11, 0.4)
    stalls = verdict(found).stalls
    killed = stalls[Fault.FILTER_KILL]
    assert (killed.count, killed.alone, killed.longest_sec, killed.longest_together_sec) == (2, 1, 0.9, 3.0)
    assert killed.kafka_sec == 0.4
    assert stalls[Fault.CLIENT_STOP].longest_sec == 0.2
    assert verdict(found).calm_p99_sec == 0.1


def test_spans_that_meet_overlap() -> None:
    """A fault that begins while another is felt marks both."""
    found = Books()
    first = found.begin("a", "x")
    second = found.begin("b", "y")
    found.end(first)
    found.end(second)
    third = found.begin("c", "z")
    assert (first.overlaps, second.overlaps, third.overlaps) == (True, True, False)


def test_who_is_behind() -> None:
    """A client lags when it has no stream, or when some partition has gone on without it."""
    found = books()
    assert found.behind(ENDS, 0) == []
    assert found.behind([100] * 5 + [1000], 500) == [state(number) for number in found.states]
    found.take(Report(1, [ClientState(4, None, list(ENDS), 0, 0, 0, 0)]))
    assert [each.number for each in found.behind(ENDS, 0)] == [4]
    assert found.behind(ENDS, 0, without={1}) == []
