"""Numbers from here to there: `gt`, `gte`, `lt`, `lte`, and what they say together.

The numbers are cut into cells at bounds of the ranges. For each cell and block there is the set of the slots whose
range reaches into the cell: to find the cell of a value answers for all rules. With few ranges every bound has its cut,
and the sets are exact. With many, bounds lie inside cells, and what is left of a set in the end is compared with the
bounds (`held`). A cell with too many bounds inside is cut in two, and two with few become one: memory grows with the
rules, and nothing is ever built anew.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import add

import numpy as np
from numpy.typing import NDArray

from filter_service import values
from filter_service.matching.columns import Answers, Column, Pairs, Share
from filter_service.matching.paths import Path
from filter_service.matching.sets import (
    SLOTS,
    WORDS,
    Flags,
    Numbers,
    Sets,
    flags_of,
    grown,
    integer,
    no_sets,
    place_of,
    sets_of,
    words_of,
)
from filter_service.matching.terms import Range

_MOST_CELLS = 1023
"""Of a column, beside that of what is no number. Each takes 128 bytes for every block."""
_FEW_CELLS = 16
"""As long as there are fewer, every bound gets its cut, which takes 50 to 100 µs."""
_LEAST_CROWD, _CROWDED = 8, 4
"""Bounds that may lie inside a cell; and the same in terms of an average one when there are as many as may be."""
_LEAST_ROOM = 4
"""Cells that there is memory for at first."""
_LEAST_LANES = 2
"""Blocks that there is memory for at first, 16 KB each: that of `_NOBODY`, and one."""

_WIDE = 0.25
"""From this share of the cells on a range is wide,"""
_TELLING = 64
"""if there are so many cells that it says something."""
_NARROW_LIKELIHOOD, _WIDE_LIKELIHOOD = 0.05, 0.5

_FEW_SCALARS = 8
"""Scalars that are looked up one by one: for so few, numpy takes longer."""

_NOWHERE = 0
"""The cell of what is no number. No range reaches into it."""
_NOBODY = 0
"""The lane of blocks without a share. No range is there."""

Floats = NDArray[np.float64]


class RangeShare(Share):
    """A block's ranges.

    Attributes:
        lane: of the block, its number in the arrays of the column.
    """

    __slots__ = ("lane",)

    def __init__(self, number: int, lane: int) -> None:
        super().__init__(number)
        self.lane = lane


class RangeAnswers(Answers):
    """What a column of ranges says."""

    __slots__ = ("_cells", "_column", "_numbers")

    def __init__(self, column: RangeColumn, numbers: Sequence[float] | Floats, cells: Sequence[int] | Numbers) -> None:
        """Takes the numbers of the rows, NaN for what is none, and the cells that they are in."""
        told = cells.tolist() if isinstance(cells, np.ndarray) else cells
        super().__init__(told, list(map(column.reach.__getitem__, told)), is_exact=column.is_exact)
        self._column = column
        self._numbers = numbers
        self._cells = cells

    def narrowed(self, kept: Numbers) -> RangeAnswers:
        """See `Answers`."""
        return RangeAnswers(self._column, np.asarray(self._numbers).take(kept), np.asarray(self._cells).take(kept))

    def hit(self, share: RangeShare, row: int) -> int:
        """See `Answers`."""
        return integer(self._column.reaching[share.lane, self._cells[row]])

    def hits(self, pairs: Pairs) -> Sets:
        """See `Answers`."""
        column = self._column
        cells = column.lanes.take(pairs.blocks) * column.room + np.asarray(self._cells).take(pairs.rows)
        hits: Sets = column.reaching.reshape(-1, WORDS).take(cells, axis=0)
        return hits

    def holds(self, share: RangeShare, row: int, slot: int) -> bool:
        """See `Answers`."""
        number = self._numbers[row]
        # Where no range is, everything is held, also what is no number.
        return not (self._column.lows[share.lane, slot] > number or self._column.highs[share.lane, slot] < number)

    def held(self, pairs: Pairs, slots: Numbers) -> Flags:
        """See `Answers`."""
        lows, highs = self._column.lows.reshape(-1), self._column.highs.reshape(-1)
        ranges = self._column.lanes.take(pairs.blocks) * SLOTS + slots
        numbers = np.asarray(self._numbers).take(pairs.rows)
        return ~((lows.take(ranges) > numbers) | (highs.take(ranges) < numbers))


class RangeColumn(Column[Range]):
    """Ranges of a path.

    Cells and blocks have numbers in arrays, as they come; a block's is its `RangeShare.lane`.

    Attributes:
        reach: for each cell, the blocks whose ranges reach into it.
        reaching: for each lane and cell, the slots whose range reaches into the cell.
        lows, highs: for each lane and slot, the bounds of the range, both included; infinite where there is none.
        lanes: for each block, its lane.
    """

    __slots__ = (
        "_bounds",
        "_cells",
        "_crowds",
        "_inside",
        "_lasting",
        "_unused_cells",
        "_unused_lanes",
        "highs",
        "lanes",
        "lows",
        "reach",
        "reaching",
    )
    cost = 1

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._bounds: list[float] = []  # the cell at index i is from _bounds[i - 1] up to, but without, _bounds[i]
        self._cells = [1]  # in the order of their numbers
        self._crowds = [0]  # bounds inside, in the same order
        self._inside = 0  # the sum of these
        self._lasting: tuple[Floats, Numbers] | None = None  # bounds and cells as arrays, until a cell comes or goes
        self._unused_cells = list(range(_LEAST_ROOM - 1, 1, -1))
        self._unused_lanes = list(range(_LEAST_LANES - 1, 0, -1))
        self.reach = [0] * _LEAST_ROOM
        self.reaching = no_sets(_LEAST_LANES, _LEAST_ROOM)
        self.lows = np.full((_LEAST_LANES, SLOTS), -math.inf)
        self.highs = np.full((_LEAST_LANES, SLOTS), math.inf)
        self.lanes = np.full(_LEAST_LANES, _NOBODY)

    @property
    def is_exact(self) -> bool:
        """Whether every range fills all the cells that it reaches into."""
        return not self._inside

    @property
    def room(self) -> int:
        """Cells that there is memory for."""
        return len(self.reach)

    def look_all(self, scalars: Sequence[object], types: set[type]) -> RangeAnswers:
        """See `Column`."""
        if len(scalars) <= _FEW_SCALARS:
            each = list(map(_number, scalars))
            return RangeAnswers(self, each, [self._cell_of(number) for number in each])
        numbers = _numbers(scalars, types)
        bounds, cells = self._arrays()
        found = cells.take(bounds.searchsorted(numbers, side="right"))
        if types != {float}:
            found[np.isnan(numbers)] = _NOWHERE
        return RangeAnswers(self, numbers, found)

    def _cell_of(self, number: float) -> int:
        return _NOWHERE if math.isnan(number) else self._cells[bisect_right(self._bounds, number)]

    # ---- changes

    def add(self, share: RangeShare, slot: int, term: Range) -> None:
        """See `Column`."""
        share.demand(slot)
        self.lows[share.lane, slot], self.highs[share.lane, slot] = term.low, term.high
        self.terms += 1
        cells, sets = self._reached(term), self.reaching[share.lane]
        word, bit = place_of(slot)
        before = sets[cells, word]
        for cell in _without_slots(sets, cells[before == 0]):
            self.reach[cell] |= share.bit
        sets[cells, word] = before | bit
        self._count(term, 1)
        self._relieve(term.low)
        self._relieve(term.above)

    def remove(self, share: RangeShare, slot: int, term: Range) -> None:
        """See `Column`."""
        share.release(slot)
        self.lows[share.lane, slot], self.highs[share.lane, slot] = -math.inf, math.inf
        self.terms -= 1
        cells, sets = self._reached(term), self.reaching[share.lane]
        word, bit = place_of(slot)
        after = sets[cells, word] ^ bit
        sets[cells, word] = after
        for cell in _without_slots(sets, cells[after == 0]):
            self.reach[cell] ^= share.bit
        self._count(term, -1)

    def move(self, old: RangeShare, new: RangeShare, moved: int, terms: Sequence[tuple[int, Range]]) -> None:
        """See `Column`."""
        for slot, _ in terms:
            new.demand(slot)
            old.release(slot)
        slots = words_of(moved)
        self.reaching[new.lane] = self.reaching[old.lane] & slots
        self.reaching[old.lane] &= ~slots
        flags = flags_of(slots)
        for bounds, nothing in ((self.lows, -math.inf), (self.highs, math.inf)):
            bounds[new.lane, flags] = bounds[old.lane, flags]
            bounds[old.lane, flags] = nothing
        for share in (old, new):
            for cell, is_reached in enumerate(self.reaching[share.lane].any(axis=1).tolist()):
                self._set_reach(cell, share, is_reached)

    def drop(self, share: RangeShare) -> None:
        """See `Column`."""
        super().drop(share)
        self.lanes[share.number] = _NOBODY
        self._unused_lanes.append(share.lane)

    def likelihood(self, term: Range) -> float:
        """See `Column`."""
        if not term.is_bounded:
            return _WIDE_LIKELIHOOD
        cells = len(self._cells)
        is_wide = cells >= _TELLING and len(self._reached(term)) > _WIDE * cells
        return _WIDE_LIKELIHOOD if is_wide else _NARROW_LIKELIHOOD

    def place(self, term: Range) -> float:
        """See `Column`."""
        return term.low if term.low > -math.inf else term.high

    def _new_share(self, number: int) -> RangeShare:
        if not self._unused_lanes:
            there = len(self.reaching)
            self._unused_lanes = list(range(2 * there - 1, there - 1, -1))
            self.reaching = grown(self.reaching, 2 * there)
            self.lows = grown(self.lows, 2 * there, -math.inf)
            self.highs = grown(self.highs, 2 * there, math.inf)
        if number >= len(self.lanes):
            self.lanes = grown(self.lanes, 2 * number, _NOBODY)
        lane = self._unused_lanes.pop()
        self.lanes[number] = lane
        return RangeShare(number, lane)

    # ---- cells

    def _arrays(self) -> tuple[Floats, Numbers]:
        if self._lasting is None:
            self._lasting = np.array(self._bounds, np.float64), np.array(self._cells, np.intp)
        return self._lasting

    def _reached(self, term: Range) -> Numbers:
        """The cells that a range reaches into."""
        first, last = bisect_right(self._bounds, term.low), bisect_right(self._bounds, term.high)
        return self._arrays()[1][first : last + 1]

    def _index_around(self, bound: float) -> int | None:
        """Index of the cell that a bound lies inside; None when cells meet there or it is infinite."""
        if math.isinf(bound):
            return None
        index = bisect_left(self._bounds, bound)
        return None if index < len(self._bounds) and self._bounds[index] == bound else index

    def _count(self, term: Range, change: int) -> None:
        """Counts the bounds of a range that lie inside cells as come, or as gone with a change of -1."""
        for bound in (term.low, term.above):
            index = self._index_around(bound)
            if index is not None:
                self._crowds[index] += change
                self._inside += change

    def _most_inside(self) -> float:
        """How many bounds may lie inside a cell."""
        if len(self._cells) < _FEW_CELLS:
            return 0
        return max(_LEAST_CROWD, _CROWDED * 2 * self.terms / _MOST_CELLS)

    def _relieve(self, bound: float) -> None:
        """Cuts the cell that a bound lies inside while there are too many."""
        while (index := self._index_around(bound)) is not None and self._crowds[index] > self._most_inside():
            if len(self._cells) < _MOST_CELLS:
                self._cut(index)
            elif not self._make_room(self._crowds[index]):
                return

    def _begin(self, index: int) -> float:
        """Where the cell at an index begins, or would behind the last one."""
        if not index:
            return -math.inf
        return self._bounds[index - 1] if index <= len(self._bounds) else math.inf

    def _bounds_inside(self, cell: int, begin: float, end: float) -> Floats:
        """Numbers at which ranges begin or are over, between the ends of a cell."""
        flags = flags_of(self.reaching[:, cell])
        bounds = np.concatenate((self.lows[flags], np.nextafter(self.highs[flags], math.inf)))
        return bounds[(begin < bounds) & (bounds < end)]

    def _cut(self, index: int) -> None:
        """Makes two cells of one, in the middle of the bounds inside."""
        lower, upper = self._cells[index], self._new_cell()
        inside = self._bounds_inside(lower, self._begin(index), self._begin(index + 1))
        bound = float(np.sort(inside)[len(inside) // 2])
        slots = self.reaching[:, lower].copy()
        self.reaching[:, upper] = slots & sets_of(self.highs >= bound)
        self.reaching[:, lower] = slots & sets_of(self.lows < bound)
        reach = self.reach[lower]
        for cell in (lower, upper):
            is_reached: list[bool] = np.any(self.reaching[:, cell], axis=1).tolist()
            for share in self.shares.values():
                if reach & share.bit:
                    self._set_reach(cell, share, is_reached[share.lane])
        self._bounds.insert(index, bound)
        self._cells.insert(index + 1, upper)
        self._set_crowds(index, 1, [int((inside < bound).sum()), int((inside > bound).sum())])

    def _make_room(self, crowd: int) -> bool:
        """Makes one cell of two that have the fewest bounds inside, if that is a gain for one that is crowded."""
        pairs = list(map(add, self._crowds, self._crowds[1:]))
        fewest = min(pairs)
        if fewest > crowd / 2:
            return False
        index = pairs.index(fewest)
        begin, end = self._begin(index), self._begin(index + 2)
        lower, upper = self._cells[index : index + 2]
        self.reaching[:, lower] |= self.reaching[:, upper]
        self.reaching[:, upper] = 0
        self.reach[lower] |= self.reach[upper]
        self.reach[upper] = 0
        self._unused_cells.append(upper)
        del self._bounds[index], self._cells[index + 1]
        self._set_crowds(index, 2, [len(self._bounds_inside(lower, begin, end))])
        return True

    def _set_crowds(self, index: int, count: int, crowds: list[int]) -> None:
        """Puts others in the place of some, after cells have changed."""
        self._inside += sum(crowds) - sum(self._crowds[index : index + count])
        self._crowds[index : index + count] = crowds
        self._lasting = None

    def _set_reach(self, cell: int, share: Share, is_reached: bool) -> None:
        if is_reached:
            self.reach[cell] |= share.bit
        else:
            self.reach[cell] &= ~share.bit

    def _new_cell(self) -> int:
        """A cell that no range reaches into."""
        if not self._unused_cells:
            room = self.room
            self._unused_cells = list(range(2 * room - 1, room - 1, -1))
            self.reach += [0] * room
            self.reaching = np.concatenate((self.reaching, np.zeros_like(self.reaching)), axis=1)
        return self._unused_cells.pop()


def _without_slots(sets: Sets, cells: Numbers) -> list[int]:
    """Those of some cells whose set is empty."""
    empty: list[int] = cells[~sets.take(cells, axis=0).any(axis=1)].tolist()
    return empty


def _numbers(scalars: Sequence[object], types: set[type]) -> Floats:
    """Scalars as numbers; NaN for what is none."""
    if types <= {float, int}:
        try:
            return np.array(scalars, np.float64)
        except OverflowError:  # an integer beyond all floats
            pass
    return np.array(list(map(_number, scalars)), np.float64)


def _number(scalar: object) -> float:
    number = values.numeric(scalar)
    return math.nan if number is None else number
