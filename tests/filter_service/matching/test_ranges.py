"""Cells of ranges: how many there are, and that what is counted about them stays right.

That ranges match what they should is shown in `tests/properties/test_rule_index.py`.
"""

from __future__ import annotations

import random

import pytest

from filter_service.matching.paths import Path
from filter_service.matching.ranges import RangeColumn, RangeShare
from filter_service.matching.sets import SLOTS
from filter_service.matching.terms import Range

PATH = ("n",)


class Filled:
    """A column, and the ranges in it."""

    def __init__(self) -> None:
        self.column = RangeColumn(Path(PATH))
        self.terms: dict[tuple[RangeShare, int], Range] = {}

    def add(self, number: int, low: float, high: float) -> None:
        share, slot, term = self.column.share(number // SLOTS + 1), number % SLOTS, Range(PATH, low, high)
        self.column.add(share, slot, term)
        self.terms[share, slot] = term

    def remove(self, number: int) -> None:
        share, slot = self.column.share(number // SLOTS + 1), number % SLOTS
        self.column.remove(share, slot, self.terms.pop((share, slot)))
        if not share.used:
            self.column.drop(share)

    def reached(self, value: float) -> set[tuple[RangeShare, int]]:
        """What the column finds for a number."""
        answers = self.column.look_all([value] * 10, {float})
        return {
            (share, slot)
            for share in self.column.shares.values()
            for slot in range(SLOTS)
            if answers.hit(share, 0) >> slot & 1 and answers.holds(share, 0, slot)
        }


def test_few_ranges_are_told_exactly() -> None:
    """Nothing has to be compared as long as each bound may have its cut."""
    filled = Filled()
    draw = random.Random(1)
    for number in range(7):
        low = draw.uniform(0, 100)
        filled.add(number, low, low + draw.uniform(0.1, 50))
        assert filled.column.is_exact
    assert filled.column.room == 16


@pytest.mark.parametrize("width", [0.01, 30, 1000])
def test_many_ranges_come_and_go(width: float) -> None:
    """Cells stay few, what they say stays right, and nothing is left of them in the end."""
    filled = Filled()
    draw = random.Random(width)
    shift, there = 0.0, list(range(3000))
    for number in there:
        low = draw.gauss(0, 10)
        filled.add(number, low, low + draw.uniform(0.001, width))
    for turn in range(3000):
        place = draw.randrange(len(there))
        filled.remove(there[place])
        low = draw.gauss(shift, 10)
        filled.add(there[place], low, low + draw.uniform(0.001, width))
        shift += 0.1  # so that cells are cut at one end, and joined at the other
        if turn % 300 == 0:
            value = draw.gauss(shift, 10)
            assert filled.reached(value) == {
                where for where, term in filled.terms.items() if term.low <= value <= term.high
            }
    assert filled.column.room == 1024
    assert not filled.column.is_exact
    for number in there:
        filled.remove(number)
    assert filled.column.is_exact
    assert not any(filled.column.reach)
    assert not filled.column.reaching.any()
