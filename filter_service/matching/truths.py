"""Truth values: what `bool` looks for."""

from __future__ import annotations

from filter_service import values
from filter_service.matching.columns import BITS, NO_ANSWER, Answer, Column, Share
from filter_service.matching.paths import Path
from filter_service.matching.terms import Truth


class _Wanting(Answer):
    """The slots that want one of the two."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        self.hits: dict[int, int] = {}


class TruthColumn(Column[Truth]):
    """The truth values wanted at a path."""

    __slots__ = ("_wanting",)
    cost = 1

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._wanting = (_Wanting(), _Wanting())  # false and true

    def look(self, value: object) -> Answer:
        """See `Column`."""
        truth = values.boolean(value)
        return NO_ANSWER if truth is None else self._wanting[truth]

    def add(self, share: Share, slot: int, term: Truth) -> None:
        """See `Column`."""
        bit = BITS[slot]
        share.wanted |= bit
        share.needed |= bit
        share.used |= bit
        self.terms += 1
        wanting = self._wanting[term.expected]
        wanting.hits[share.number] = wanting.hits.get(share.number, 0) | bit
        wanting.reach |= share.bit

    def remove(self, share: Share, slot: int, term: Truth) -> None:
        """See `Column`."""
        bit = BITS[slot]
        share.wanted ^= bit
        share.needed ^= bit
        share.used ^= bit
        self.terms -= 1
        wanting = self._wanting[term.expected]
        wanting.hits[share.number] ^= bit
        if not wanting.hits[share.number]:
            del wanting.hits[share.number]
            wanting.reach ^= share.bit

    def likelihood(self, term: Truth) -> float:
        """See `Column`."""
        return 0.5

    def place(self, term: Truth) -> float:
        """See `Column`."""
        return float(term.expected)

    def _new_share(self, number: int) -> Share:
        return Share(number)
