"""Truth values: what `bool` looks for."""

from __future__ import annotations

from collections.abc import Sequence

from filter_service import values
from filter_service.matching.columns import Answers, Column, Share
from filter_service.matching.key import NO_KEY, Key, KeyAnswers
from filter_service.matching.paths import Path
from filter_service.matching.terms import Truth


class TruthColumn(Column[Truth]):
    """The truth values wanted at a path."""

    __slots__ = ("_keys",)
    cost = 3

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._keys = {True: Key(), False: Key(), None: NO_KEY}

    def look_all(self, scalars: Sequence[object], types: set[type]) -> Answers:
        """See `Column`."""
        truths = scalars if types == {bool} else map(values.boolean, scalars)
        return KeyAnswers(list(map(self._keys.__getitem__, truths)))  # type: ignore[arg-type]

    def add(self, share: Share, slot: int, term: Truth) -> None:
        """See `Column`."""
        share.demand(slot)
        self.terms += 1
        self._keys[term.expected].want(share, slot)

    def remove(self, share: Share, slot: int, term: Truth) -> None:
        """See `Column`."""
        share.release(slot)
        self.terms -= 1
        self._keys[term.expected].unwant(share, slot)

    def likelihood(self, term: Truth) -> float:
        """See `Column`."""
        return 0.5

    def place(self, term: Truth) -> float:
        """See `Column`."""
        return float(term.expected)
