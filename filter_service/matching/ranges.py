"""Numbers from here to there: `gt`, `gte`, `lt`, `lte`, and what they say together.

The numbers are cut into cells at bounds of the ranges. Each cell knows, block by block, the slots whose range reaches
into it: one bisection per record answers for all rules. Where a cell holds bounds inside, their slots are *doubtful*
there, and are compared one by one. With few ranges every bound has its cut, and hardly anything is doubtful. With many,
a cell that has too much of it is cut in two, and two that have little become one; so the memory grows with the rules
and not with their square, and nothing is ever built anew. A range comes and goes in 1 to 30 µs.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import partial
from typing import ClassVar

from filter_service import values
from filter_service.matching.columns import BITS, NO_ANSWER, NOTHING, SLOTS, Answer, Column, Share, slots_of
from filter_service.matching.paths import Path
from filter_service.matching.terms import Range

_DOUBTFUL = 6
"""Doubtful slots in a cell that is cut in two, when there are many cells. Comparing one takes 0.2 µs."""
_CROWDED = 4
"""Where there may be no more cells, one is still cut that has so many times the doubtful slots of an average one."""
_SPARSE = 0.25
"""Cells that have this share of what is too much together become one."""

_MOST_WIDE_CELLS = 512
"""Each may change when a wide range comes and goes."""
_LEAST_ENTRIES = 4096
_ENTRIES_PER_RANGE = 2
"""What the cells may hold: an entry is the slots of one block in one cell, some 250 bytes."""

_WIDE = 0.25
"""From this share of the cells on a range is wide,"""
_TELLING = 64
"""if there are so many cells that it says something."""
_NARROW_LIKELIHOOD, _WIDE_LIKELIHOOD = 0.05, 0.5
"""What a guess is worth that takes no time."""


class RangeShare(Share):
    """A block's ranges.

    Attributes:
        lows, highs: the bounds of the range in each slot, both included. Arrays: what is compared lies together.
    """

    __slots__ = ("highs", "lows")

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.lows = array("d", bytes(8 * (SLOTS + 1)))
        self.highs = array("d", bytes(8 * (SLOTS + 1)))


class _Cell(Answer):
    """The numbers from one bound up to, but without, the next; what there is to say about each of them.

    Attributes:
        crowd: how many slots are in `doubts`: those whose range reaches into the cell but does not fill it.
    """

    __slots__ = ("crowd",)

    def __init__(self) -> None:
        super().__init__()
        self.hits: dict[int, int] = {}
        self.crowd = 0

    def copy(self) -> _Cell:
        """Another cell with the same `hits`, nothing of it doubtful."""
        other = _Cell()
        other.hits = self.hits.copy()
        other.reach = self.reach
        return other

    def add(self, share: Share, bits: int) -> bool:
        """Puts slots in; whether the block is a new one here."""
        known = self.hits.get(share.number, 0)
        self.hits[share.number] = known | bits
        self.reach |= share.bit
        return not known

    def remove(self, share: Share, bits: int) -> bool:
        """Takes slots out that are there; whether the block has left."""
        left = self.hits[share.number] ^ bits
        if left:
            self.hits[share.number] = left
            return False
        del self.hits[share.number]
        self.reach ^= share.bit
        return True

    def doubt(self, number: int, bits: int) -> None:
        """Notes slots of a block as doubtful."""
        if not self.crowd:
            self.doubts = {}
        self.doubts[number] = self.doubts.get(number, 0) | bits
        self.crowd += bits.bit_count()

    def undoubt(self, number: int, bits: int) -> None:
        """Undoes `doubt`."""
        left = self.doubts[number] ^ bits
        if left:
            self.doubts[number] = left
        else:
            del self.doubts[number]
        self.crowd -= bits.bit_count()
        if not self.crowd:
            self.doubts = NOTHING


class RangeColumn(Column[Range]):
    """Ranges of a path.

    Attributes:
        few_cells: as long as there are fewer, memory is of no concern.
    """

    __slots__ = ("_bounds", "_cells", "_entries")
    cost = 3
    few_cells: ClassVar = 2048

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._bounds = array("d")  # cell i is from _bounds[i - 1] up to _bounds[i]
        self._cells = [_Cell()]
        self._entries = 0

    def look(self, value: object) -> Answer:
        """See `Column`."""
        if type(value) is not float:
            value = values.numeric(value)
            if value is None:
                return NO_ANSWER
        return self._cells[bisect_right(self._bounds, value)]

    def look_all(self, values: Sequence[object], types: set[type]) -> list[Answer]:
        """See `Column`."""
        if types != {float}:
            return super().look_all(values, types)
        return list(map(self._cells.__getitem__, map(partial(bisect_right, self._bounds), values)))

    # ---- changes

    def add(self, share: RangeShare, slot: int, term: Range) -> None:
        """See `Column`."""
        bit = BITS[slot]
        share.wanted |= bit
        share.needed |= bit
        share.used |= bit
        share.lows[slot], share.highs[slot] = term.low, term.high
        self.terms += 1
        first, last = self._reached(term)
        for cell in self._cells[first : last + 1]:
            self._entries += cell.add(share, bit)
        crowded = -1
        for place in self._partly(term, first, last):
            cell = self._cells[place]
            cell.doubt(share.number, bit)
            if cell.crowd > self._most_doubtful():
                crowded = place
        if crowded >= 0:
            self._split(crowded)

    def remove(self, share: RangeShare, slot: int, term: Range) -> None:
        """See `Column`."""
        bit = BITS[slot]
        share.wanted ^= bit
        share.needed ^= bit
        share.used ^= bit
        self.terms -= 1
        first, last = self._reached(term)
        for cell in self._cells[first : last + 1]:
            self._entries -= cell.remove(share, bit)
        for place in self._partly(term, first, last):
            self._cells[place].undoubt(share.number, bit)
        for bound in (last, last - 1, first, first - 1):
            if 0 <= bound < len(self._bounds):
                self._merge_if_sparse(bound)

    def move(self, old: RangeShare, new: RangeShare, moved: int, terms: Sequence[tuple[int, Range]]) -> None:
        """See `Column`."""
        for slot, term in terms:
            new.lows[slot], new.highs[slot] = term.low, term.high
        new.wanted |= moved & old.wanted
        new.needed |= moved & old.needed
        new.used |= moved & old.used
        old.wanted &= ~moved
        old.needed &= ~moved
        old.used &= ~moved
        first = bisect_right(self._bounds, min([term.low for _, term in terms]))
        last = bisect_right(self._bounds, max([term.high for _, term in terms]))
        for cell in self._cells[first : last + 1]:
            there = cell.hits.get(old.number, 0) & moved
            if there:
                self._entries += cell.add(new, there)
                self._entries -= cell.remove(old, there)
            doubtful = cell.doubts.get(old.number, 0) & moved
            if doubtful:
                cell.doubt(new.number, doubtful)
                cell.undoubt(old.number, doubtful)

    def likelihood(self, term: Range) -> float:
        """See `Column`."""
        return _NARROW_LIKELIHOOD

    def is_wide(self, term: Range) -> bool:
        """Whether a range holds so many of the numbers that it belongs into a `WideRangeColumn`."""
        if not term.is_bounded:
            return True
        first, last = self._reached(term)
        cells = len(self._cells)
        return cells >= _TELLING and last - first > _WIDE * cells

    def place(self, term: Range) -> float:
        """See `Column`."""
        return term.low if term.low > -math.inf else term.high

    def _new_share(self, number: int) -> RangeShare:
        return RangeShare(number)

    # ---- cells

    def _reached(self, term: Range) -> tuple[int, int]:
        """The first and the last cell that a range reaches into."""
        return bisect_right(self._bounds, term.low), bisect_right(self._bounds, term.high)

    def _partly(self, term: Range, first: int, last: int) -> Iterator[int]:
        """The cells, at most two, that a range reaches into but does not fill.

        Args:
            first, last: what `_reached` says.
        """
        begins_inside = self._begins_inside(term, first)
        if begins_inside:
            yield first
        if not (begins_inside and first == last) and self._ends_inside(term, last):
            yield last

    def _begins_inside(self, term: Range, place: int) -> bool:
        """Whether a range that reaches into a cell leaves out numbers at its begin."""
        return term.low > (self._bounds[place - 1] if place else -math.inf)

    def _ends_inside(self, term: Range, place: int) -> bool:
        """Whether a range that reaches into a cell leaves out numbers at its end."""
        return term.above < self._bounds[place] if place < len(self._bounds) else term.high < math.inf

    def _may_grow(self) -> bool:
        return self._entries < max(_LEAST_ENTRIES, _ENTRIES_PER_RANGE * self.terms)

    def _most_doubtful(self) -> float:
        """How many slots may be doubtful in a cell."""
        cells = len(self._cells)
        if cells < self.few_cells:
            return 0
        if self._may_grow():
            return _DOUBTFUL
        return max(_DOUBTFUL, _CROWDED * 2 * self.terms / cells)

    def _split(self, place: int) -> None:
        """Cuts a cell in two, in the middle of the bounds inside."""
        lower = self._cells[place]
        partly = [
            (share, slot, Range(self.path.steps, share.lows[slot], share.highs[slot]))
            for number, bits in lower.doubts.items()
            for share in (self.shares[number],)
            for slot in slots_of(bits)
        ]
        cuts = [term.low for _, _, term in partly if self._begins_inside(term, place)]
        cuts += [term.above for _, _, term in partly if self._ends_inside(term, place)]
        cuts.sort()
        bound = cuts[len(cuts) // 2]
        upper = lower.copy()
        lower.doubts, lower.crowd = NOTHING, 0
        self._entries += len(upper.hits)
        self._bounds.insert(place, bound)
        self._cells.insert(place + 1, upper)
        for share, slot, term in partly:
            bit = BITS[slot]
            if term.low >= bound:
                self._entries -= lower.remove(share, bit)
            if term.high < bound:
                self._entries -= upper.remove(share, bit)
            for part in self._partly(term, *self._reached(term)):
                if part in (place, place + 1):
                    self._cells[part].doubt(share.number, bit)

    def _merge_if_sparse(self, bound: int) -> None:
        """Makes one cell of those on both sides of a bound if little is doubtful in it."""
        lower, upper = self._cells[bound], self._cells[bound + 1]
        most = self._most_doubtful() * _SPARSE
        if lower.crowd + upper.crowd > most:
            return
        merged = _Cell()
        merged.reach = lower.reach | upper.reach
        for number in lower.hits | upper.hits:
            below, above = lower.hits.get(number, 0), upper.hits.get(number, 0)
            merged.hits[number] = below | above
            doubtful = below ^ above | lower.doubts.get(number, 0) | upper.doubts.get(number, 0)
            if doubtful:
                merged.doubt(number, doubtful)
                if merged.crowd > most:
                    return
        self._entries += len(merged.hits) - len(lower.hits) - len(upper.hits)
        del self._bounds[bound]
        self._cells[bound : bound + 2] = [merged]


class WideRangeColumn(RangeColumn):
    """Ranges of a path that hold many numbers, such as those with one bound.

    A wide range changes many cells when it comes and goes, and few of a cell's are doubtful: so there are few cells.
    """

    __slots__ = ()
    cost = 4
    few_cells = 128

    def likelihood(self, term: Range) -> float:
        """See `Column`."""
        return _WIDE_LIKELIHOOD

    def _may_grow(self) -> bool:
        return len(self._cells) < _MOST_WIDE_CELLS and super()._may_grow()


def doubts_that_fail(share: RangeShare, value: object, doubtful: int) -> int:
    """Of a block's doubtful slots, those whose range does not hold a value."""
    number, lows, highs = values.numeric(value), share.lows, share.highs
    failed = 0
    while doubtful:
        slot = doubtful.bit_length()
        doubtful ^= BITS[slot]
        if number is None or not lows[slot] <= number <= highs[slot]:
            failed |= BITS[slot]
    return failed
