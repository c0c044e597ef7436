"""Numbers from here to there: `gt`, `gte`, `lt`, `lte`, and what they say together.

The numbers are cut into buckets at the bounds of the ranges. For each bucket, a table per block holds the slots whose
range reaches into it: one bisection per record answers for all rules. With few ranges every bound has its cut, and the
table is exact. With many, buckets hold bounds inside; their slots are *doubtful* there, and are compared one by one
(about a tenth of what passes). So the memory grows with the rules and not with their square: at most `_MOST_BUCKETS`
times a bit per rule and column.

Adding a range changes the buckets that it reaches into, and now and then splits a bucket (or first merges two that are
needed least): 1 to 30 µs, at 100,000 rules some 100 µs. Nothing is ever built anew.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from filter_service import values
from filter_service.matching.columns import BITS, NOTHING, Column, Share, slots_of
from filter_service.matching.paths import Path
from filter_service.matching.terms import Range

_SPLIT_ABOVE = 12
"""Doubtful slots in a bucket while buckets may be added. Comparing one takes 0.2 to 0.5 µs."""
_MOST_BUCKETS = 1024
"""The memory for a range of a column is a bit for each bucket, in the worst case."""
_MOST_WIDE_BUCKETS = 128
"""Doubtful slots are a small part of what is in a bucket when ranges are wide, and adding one changes many buckets."""
_CROWDED = 4
"""Where no bucket may be added, one is split that has so many times the average, and two others are merged."""
_WIDE = 0.25
"""From this share of the buckets on a range is wide,"""
_TELLING = 64
"""if there are so many buckets that it says something."""
_NARROW_LIKELIHOOD, _WIDE_LIKELIHOOD = 0.05, 0.5
"""What a guess is worth that takes no time."""


class RangeShare(Share):
    """A block's ranges.

    Attributes:
        table: for every bucket, the slots whose range reaches into it; at the end, none, for what is no number.
        first, last: all slots are in buckets from `first` to `last`.
        ranges: the range in each slot.
    """

    __slots__ = ("first", "last", "ranges", "table")

    def __init__(self, number: int, buckets: int) -> None:
        super().__init__(number)
        self.table = [0] * (buckets + 1)
        self.first, self.last = buckets, -1
        self.ranges: dict[int, Range] = {}


class RangeColumn(Column[Range]):
    """Ranges of a path.

    Attributes:
        most_buckets: limit of their number.
        state: after `look`: the bucket of the number; -1 for what is no number.
        number: after `look`: the number, if it is one.
        doubtful: after `look`: for each block, the slots that must be compared with the number.
    """

    __slots__ = ("_bounds", "_crowds", "_doubts", "_inner", "_reach", "doubtful", "number", "state")
    most_buckets = _MOST_BUCKETS

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.state = -1
        self.number = math.nan
        self.doubtful = NOTHING
        # Bucket i holds the numbers from _bounds[i - 1] up to but without _bounds[i].
        self._bounds: list[float] = []
        self._inner: list[int] = []  # per bound: ranges that begin or end exactly there
        self._doubts: list[dict[int, int]] = [{}]  # per bucket and block: the slots it holds in part
        self._crowds = [0]  # per bucket: how many doubtful slots
        self._reach = [0]  # per bucket: blocks that have slots there

    def look(self, value: object) -> int:
        """See `Column`."""
        if type(value) is not float:
            value = values.numeric(value)
            if value is None:
                self.state = -1
                self.doubtful = NOTHING
                return self.open
        self.number = value
        self.state = state = bisect_right(self._bounds, value)
        self.doubtful = self._doubts[state]
        return self._reach[state] | self.open

    def _new_share(self, number: int) -> RangeShare:
        return RangeShare(number, len(self._crowds))

    def add(self, share: RangeShare, slot: int, term: Range) -> None:
        """See `Column`."""
        bit = BITS[slot]
        share.wanted |= bit
        share.needed |= bit
        share.used |= bit
        share.ranges[slot] = term
        self.terms += 1
        first, last = bisect_right(self._bounds, term.low), bisect_right(self._bounds, term.high)
        table = share.table
        table[first : last + 1] = [bits | bit for bits in table[first : last + 1]]
        if first < share.first or last > share.last:
            self._widen(share, first, last)
        number = share.number
        crowds = self._crowds
        crowded = -1
        for bucket in self._ends(term, first, last, 1):
            doubts = self._doubts[bucket]
            doubts[number] = doubts.get(number, 0) | bit
            crowds[bucket] += 1
            if crowds[bucket] > _SPLIT_ABOVE:
                crowded = bucket
        if crowded >= 0:
            self._relieve(crowded)

    def remove(self, share: RangeShare, slot: int, term: Range) -> None:
        """See `Column`."""
        bit = BITS[slot]
        share.wanted ^= bit
        share.needed ^= bit
        share.used ^= bit
        del share.ranges[slot]
        self.terms -= 1
        first, last = self._buckets(term)
        table = share.table
        table[first : last + 1] = [bits ^ bit for bits in table[first : last + 1]]
        for bucket in self._ends(term, first, last, -1):
            _take(self._doubts[bucket], share.number, bit)
            self._crowds[bucket] -= 1

    def drop(self, share: RangeShare) -> None:  # type: ignore[override]
        """See `Column`."""
        super().drop(share)
        for bucket in range(share.first, share.last + 1):
            self._reach[bucket] &= ~share.bit

    def move(self, old: RangeShare, new: RangeShare, moved: int, terms: Sequence[tuple[int, Range]]) -> None:
        """See `Column`."""
        for slot, term in terms:
            new.ranges[slot] = term
            del old.ranges[slot]
        moved &= old.wanted
        new.wanted = new.needed = moved
        old.wanted = old.needed = old.wanted ^ moved
        new.used, old.used = new.wanted, old.wanted
        new.table = [bits & moved for bits in old.table]
        old.table = [bits ^ (bits & moved) for bits in old.table]
        for doubts in self._doubts:
            bits = doubts.get(old.number, 0) & moved
            if bits:
                doubts[new.number] = bits
                _take(doubts, old.number, bits)
        self._narrow(old)
        self._narrow(new)

    def holds(self, term: Range) -> bool:
        """See `Column`."""
        return term.low <= self.number <= term.high

    def likelihood(self, term: Range) -> float:
        """See `Column`."""
        return _NARROW_LIKELIHOOD

    def is_wide(self, term: Range) -> bool:
        """Whether a range belongs to the column for wide ranges."""
        if not term.is_bounded:
            return True
        buckets = len(self._crowds)
        first, last = self._buckets(term)
        return buckets >= _TELLING and last - first > _WIDE * buckets

    def place(self, term: Range) -> float:
        """See `Column`."""
        return term.low if term.low > -math.inf else term.high

    # ---- buckets

    def _buckets(self, term: Range) -> tuple[int, int]:
        """The first and the last bucket that a range reaches into."""
        return bisect_right(self._bounds, term.low), bisect_right(self._bounds, term.high)

    def _widen(self, share: RangeShare, first: int, last: int) -> None:
        """Notes that a block has slots from bucket `first` to bucket `last`."""
        share.first, share.last = min(first, share.first), max(last, share.last)
        for bucket in range(share.first, share.last + 1):
            self._reach[bucket] |= share.bit

    def _narrow(self, share: RangeShare) -> None:
        """Finds out anew in which buckets a block has slots."""
        for bucket in range(share.first, share.last + 1):
            self._reach[bucket] &= ~share.bit
        share.first, share.last = len(self._crowds), -1
        filled = [bucket for bucket, bits in enumerate(share.table) if bits]
        if filled:
            self._widen(share, filled[0], filled[-1])

    def _ends(self, term: Range, first: int, last: int, change: int) -> list[int]:
        """The buckets that a range, which reaches from `first` to `last`, does not fill.

        Args:
            change: is added to `_inner` for the bounds at which the range begins and ends.
        """
        bounds = self._bounds
        partly = []
        if first and bounds[first - 1] == term.low:
            self._inner[first - 1] += change
        elif term.low > -math.inf:
            partly.append(first)
        if last < len(bounds) and bounds[last] == term.above:
            self._inner[last] += change
        elif term.high < math.inf and partly != [last]:
            partly.append(last)
        return partly

    def _relieve(self, bucket: int) -> None:
        """Splits a bucket with many doubtful slots, if there may be one more."""
        buckets = len(self._crowds)
        if buckets >= self.most_buckets:
            if self._crowds[bucket] * buckets < _CROWDED * 2 * self.terms:
                return
            costs = [a + b + c for a, b, c in zip(self._crowds, self._crowds[1:], self._inner, strict=False)]
            bound = costs.index(min(costs))
            if bound in (bucket - 1, bucket) or costs[bound] * 2 > self._crowds[bucket]:
                return
            self._merge(bound)
            bucket -= bound < bucket
        self._split(bucket)

    def _split(self, bucket: int) -> None:
        """Cuts a bucket in two, in the middle of the bounds inside."""
        doubts = self._doubts[bucket]
        shares = [self.shares[number] for number in doubts]
        partly = [(share, slot, share.ranges[slot]) for share in shares for slot in slots_of(doubts[share.number])]
        lower = self._bounds[bucket - 1] if bucket else -math.inf
        cuts = [term.low for _, _, term in partly if term.low > lower]
        if bucket < len(self._bounds):
            upper = self._bounds[bucket]
            cuts += [term.above for _, _, term in partly if term.above < upper]
        else:
            cuts += [term.above for _, _, term in partly if term.high < math.inf]
        cuts.sort()
        bound = cuts[len(cuts) // 2]
        self._bounds.insert(bucket, bound)
        self._inner.insert(bucket, 0)
        self._crowds[bucket : bucket + 1] = [0, 0]
        self._doubts[bucket : bucket + 1] = [{}, {}]
        self._reach.insert(bucket, self._reach[bucket])
        for share in self.shares.values():
            share.table.insert(bucket, share.table[bucket])
            share.first += share.first > bucket
            share.last += share.last >= bucket
        for share, slot, term in partly:
            bit = BITS[slot]
            inside = lower < term.low  # the range begins in the old bucket
            beyond = term.high >= bound  # it reaches into the upper one
            if not beyond:
                share.table[bucket + 1] ^= bit
            if inside and term.low >= bound:
                share.table[bucket] ^= bit
            self._inner[bucket] += term.low == bound or (term.above == bound and term.high < math.inf)
            first, last = bisect_right(self._bounds, term.low), bisect_right(self._bounds, term.high)
            for part in self._ends(term, first, last, 0):
                if bucket <= part <= bucket + 1:
                    doubts = self._doubts[part]
                    doubts[share.number] = doubts.get(share.number, 0) | bit
                    self._crowds[part] += 1

    def _merge(self, bound: int) -> None:
        """Makes one bucket of those on both sides of a bound."""
        del self._bounds[bound]
        del self._inner[bound]
        self._reach[bound] |= self._reach.pop(bound + 1)
        lower, upper = self._doubts[bound], self._doubts.pop(bound + 1)
        merged = {}
        for number, share in self.shares.items():
            table = share.table
            partly = table[bound] ^ table[bound + 1] | lower.get(number, 0) | upper.get(number, 0)
            if partly:
                merged[number] = partly
            table[bound] |= table.pop(bound + 1)
            share.first -= share.first > bound
            share.last -= share.last > bound
        self._doubts[bound] = merged
        self._crowds[bound : bound + 2] = [sum(bits.bit_count() for bits in merged.values())]


def _take(doubts: dict[int, int], number: int, bits: int) -> None:
    """Takes slots of a block away."""
    doubts[number] ^= bits
    if not doubts[number]:
        del doubts[number]


class WideRangeColumn(RangeColumn):
    """Ranges of a path that hold many numbers, such as those with one bound."""

    __slots__ = ()
    most_buckets = _MOST_WIDE_BUCKETS

    def likelihood(self, term: Range) -> float:
        """See `Column`."""
        return _WIDE_LIKELIHOOD
