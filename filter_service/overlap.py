"""Selections that overlap: where a member is selected by its name and by a wildcard, two selections hold below it.

Used by `projection` for `fields` with wildcards, on the readers' threads; several may ask at once, and at worst compute
the same twice. Looked at one by one, selections that meet like this can be as many as a text has room for (thousands),
for each member of a record. So what several select together is itself made into one selection, when a record first
gets there, and kept: a member then costs one look-up, however many selections it stands under.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from filter_service.language import WILDCARD

Names = dict[str, "Names | None"]
"""Selected names, each with what is selected below it; None for all of it."""


class Unselected(Enum):
    """Type of `UNSELECTED`."""

    UNSELECTED = "unselected"


UNSELECTED: Final = Unselected.UNSELECTED
"""What is selected of a member that no selection names."""

KEPT_LIMIT = 300_000
"""Selections and names that may be kept for one text. A text of 64 KB and records made for the purpose reach it; then
everything is computed anew."""


class Overlap:
    """Selections of the same value, as one.

    Args:
        selections: each at least one name.
        kept: the overlaps of the same text.
    """

    __slots__ = ("_kept", "_members", "_named", "_wild")

    def __init__(self, selections: tuple[Names, ...], kept: Overlaps) -> None:
        self._kept = kept
        self._named: dict[str, list[Names | None]] = {}
        self._wild: list[Names | None] = []
        for names in selections:
            for name, below in names.items():
                (self._wild if name == WILDCARD else self._named.setdefault(name, [])).append(below)
        self._members: dict[str, Overlap | Unselected | None] = {}

    @property
    def size(self) -> int:
        """Selections that are known here."""
        return len(self._wild) + sum(map(len, self._named.values()))

    def member(self, name: str) -> Overlap | Unselected | None:
        """What is selected of a member; None for all of it."""
        # To those that are not named, all that are not are alike: a record's names are not kept.
        known = name if name in self._named else WILDCARD
        try:
            return self._members[known]
        except KeyError:
            found = self._members[known] = self._kept.together(self._named.get(name, []) + self._wild)
            return found


class Overlaps:
    """Those of one text that some record has led to.

    Args:
        names: what the text selects of a record.
    """

    __slots__ = ("_found", "_names", "_size", "root")

    def __init__(self, names: Names) -> None:
        self._names = names
        self._begin()

    def _begin(self) -> None:
        self._found: dict[tuple[int, ...], Overlap] = {}
        self._size = 0
        self.root = Overlap((self._names,), self)

    def together(self, selections: list[Names | None]) -> Overlap | Unselected | None:
        """What some selections select together; None for everything."""
        if not selections:
            return UNSELECTED
        distinct: dict[int, Names] = {}
        for names in selections:
            if names is None:
                return None
            distinct[id(names)] = names
        # The text's own selections live as long as this: their ids stay theirs.
        key = tuple(sorted(distinct))
        overlap = self._found.get(key)
        if overlap is None:
            if self._size > KEPT_LIMIT:
                self._begin()
            overlap = self._found[key] = Overlap(tuple(distinct.values()), self)
            self._size += overlap.size + len(key)
        return overlap
