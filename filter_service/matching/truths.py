"""Truth values: what `bool` looks for. Each block has a table of the slots that want false and those that want true."""

from __future__ import annotations

from filter_service import values
from filter_service.matching.columns import BITS, Column, Share
from filter_service.matching.paths import Path
from filter_service.matching.terms import Truth


class TruthShare(Share):
    """A block's truth values.

    Attributes:
        table: the slots that want false, those that want true, and none, for what is neither.
    """

    __slots__ = ("table",)

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.table = [0, 0, 0]


class TruthColumn(Column[Truth]):
    """The truth values wanted at a path.

    Attributes:
        state: after `look`: 0 for false, 1 for true, -1 for what is neither.
    """

    __slots__ = ("_reach", "state")

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.state = -1
        self._reach = [0, 0, 0]  # per state: blocks that have slots there

    def look(self, value: object) -> int:
        """See `Column`."""
        truth = values.boolean(value)
        self.state = state = -1 if truth is None else int(truth)
        return self._reach[state] | self.open

    def _new_share(self, number: int) -> TruthShare:
        return TruthShare(number)

    def add(self, share: TruthShare, slot: int, term: Truth) -> None:
        """See `Column`."""
        bit = BITS[slot]
        share.wanted |= bit
        share.needed |= bit
        share.used |= bit
        share.table[term.expected] |= bit
        self._reach[term.expected] |= share.bit
        self.terms += 1

    def remove(self, share: TruthShare, slot: int, term: Truth) -> None:
        """See `Column`."""
        bit = BITS[slot]
        share.wanted ^= bit
        share.needed ^= bit
        share.used ^= bit
        share.table[term.expected] ^= bit
        if not share.table[term.expected]:
            self._reach[term.expected] ^= share.bit
        self.terms -= 1

    def likelihood(self, term: Truth) -> float:
        """See `Column`."""
        return 0.5

    def place(self, term: Truth) -> float:
        """See `Column`."""
        return float(term.expected)
