"""Truth values: what `bool` looks for."""

from __future__ import annotations

from filter_service import values
from filter_service.matching.columns import BITS, NOTHING, Column, Share
from filter_service.matching.paths import Path
from filter_service.matching.terms import Truth


class TruthColumn(Column[Truth]):
    """The truth values wanted at a path."""

    __slots__ = ("_reach", "_wanting")

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._wanting: tuple[dict[int, int], dict[int, int]] = ({}, {})  # false and true: for each block, slots
        self._reach = [0, 0]  # the blocks in each of these

    def look(self, value: object) -> int:
        """See `Column`."""
        truth = values.boolean(value)
        if truth is None:
            self.hits = NOTHING
            return self.open
        self.hits = self._wanting[truth]
        return self._reach[truth] | self.open

    def add(self, share: Share, slot: int, term: Truth) -> None:
        """See `Column`."""
        bit = BITS[slot]
        share.wanted |= bit
        share.needed |= bit
        share.used |= bit
        self.terms += 1
        wanting = self._wanting[term.expected]
        wanting[share.number] = wanting.get(share.number, 0) | bit
        self._reach[term.expected] |= share.bit

    def remove(self, share: Share, slot: int, term: Truth) -> None:
        """See `Column`."""
        bit = BITS[slot]
        share.wanted ^= bit
        share.needed ^= bit
        share.used ^= bit
        self.terms -= 1
        wanting = self._wanting[term.expected]
        wanting[share.number] ^= bit
        if not wanting[share.number]:
            del wanting[share.number]
            self._reach[term.expected] ^= share.bit

    def likelihood(self, term: Truth) -> float:
        """See `Column`."""
        return 0.5

    def place(self, term: Truth) -> float:
        """See `Column`."""
        return float(term.expected)

    def _new_share(self, number: int) -> Share:
        return Share(number)
