"""The clients' check itself: what it accepts, and that it sees every kind of fault."""

import json

import pytest

from tests.chaos.expectation import Expectation
from tests.chaos.population import STOPPED, five_hundred, thirty
from tests.chaos.records import EVERYTHING, PERIOD, SELECTIONS, Selection, templates

SPARSE = Selection("m=lt:2;", (0, 1))


def numbers(selection: Selection, begin: int, end: int) -> list[int]:
    """Those from `begin` up to `end` that pass, found one by one."""
    return [n for n in range(begin, end) if n % PERIOD in selection.residues]


@pytest.mark.parametrize("selection", [EVERYTHING, *SELECTIONS], ids=lambda selection: selection.where)
def test_what_passes(selection: Selection) -> None:
    """Counting, and stepping from one record to the next, agree with looking at every number."""
    for begin, end in ((0, 0), (0, 1000), (37, 212), (99, 101), (500, 400)):
        assert selection.count(begin, end) == len(numbers(selection, begin, end))
    expectation = Expectation(selection, 1)
    for number in numbers(selection, 0, 500):
        assert expectation.receive(0, number) is None
    assert expectation.tally.checked == len(numbers(selection, 0, 500))
    assert expectation.tally.faults == 0


def test_partitions_are_apart() -> None:
    """Each partition has its own order."""
    expectation = Expectation(EVERYTHING, 2)
    assert [expectation.receive(p, n) for p, n in ((0, 0), (1, 0), (0, 1), (0, 2), (1, 1))] == [None] * 5


def test_losses() -> None:
    """A gap is counted in records that should have come, not in numbers; the check goes on behind it."""
    expectation = Expectation(SPARSE, 1)
    expectation.receive(0, 0)
    assert "3 lost" in (expectation.receive(0, 200) or "")
    assert expectation.receive(0, 201) is None
    assert expectation.tally.lost == 3


def test_repetition_and_disorder() -> None:
    """What has come before, or comes after its successor, is counted; the check goes on as before."""
    expectation = Expectation(EVERYTHING, 1)
    for number in (0, 1, 1, 0, 2, 4, 3, 5):
        expectation.receive(0, number)
    assert (expectation.tally.duplicated, expectation.tally.lost) == (3, 1)


def test_what_was_not_asked_for() -> None:
    """A record that the filter should have kept back is counted, and is no loss."""
    expectation = Expectation(SPARSE, 1)
    for number in (0, 1, 2, 100):
        expectation.receive(0, number)
    assert (expectation.tally.unwanted, expectation.tally.lost) == (1, 0)


def test_beginning_at_the_end() -> None:
    """Anything up to the first record after the handshake may be the first; what comes after it must be complete."""
    for first, lost in ((100, 0), (101, 0), (200, 0), (201, 1), (300, 2)):
        expectation = Expectation(SPARSE, 1)
        expectation.begin_at_end([150])
        expectation.receive(0, first)
        assert expectation.tally.lost == lost
    expectation.begin_at_end([150])
    expectation.receive(0, 100)
    expectation.receive(0, 200)
    assert expectation.tally.lost == 2 + 1


def test_what_has_not_come() -> None:
    """At the end of a run everything below the ends must have come, also where nothing has come yet."""
    expectation = Expectation(SPARSE, 2)
    expectation.receive(0, 0)
    assert expectation.missing([200, 1]) == 3 + 1
    expectation.begin_at_end([150, 0])
    assert expectation.missing([201, 0]) == 1


def test_records_are_what_the_filters_ask_for() -> None:
    """Every template is JSON with the members that the selections are about."""
    for residue, template in enumerate(templates()):
        value = json.loads(template % (residue + PERIOD, 3, 5))
        assert (value["n"] % PERIOD, value["m"], value["p"], value["at"]) == (residue, residue, 3, 5)
        assert value["nested"]["level"] == residue % 10


def test_every_process_has_clients_of_every_format() -> None:
    """Stopping any client process, or losing any edge, concerns each kind of client; all have numbers of their own."""
    wishes = thirty()
    assert [wish.number for wish in wishes] == list(range(30))
    assert len({(wish.process, wish.format) for wish in wishes}) == 9
    assert len({(wish.home, wish.format) for wish in wishes}) == 6


def test_the_stopped_are_a_process() -> None:
    """Of five hundred clients one hundred live in the process that is stopped."""
    wishes = five_hundred()
    assert [wish.number for wish in wishes] == list(range(500))
    assert sum(wish.process == STOPPED for wish in wishes) == 100
