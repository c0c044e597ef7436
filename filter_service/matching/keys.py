"""Numbers and texts by themselves: `eq` and `neq`, `in` and `nin`.

A column keeps, for each distinct number or text, the slots that want it to be there and those that want it not to be.
One look-up (`NumberColumn`) or one search (`TextColumn`) per record finds all that are there, and only these count.

Used by `rule_index` and `blocks`, on the reader's thread.
"""

from __future__ import annotations

from collections.abc import Sequence

from filter_service import values
from filter_service.matching.columns import BITS, NOTHING, Column, Share
from filter_service.matching.paths import Path
from filter_service.matching.substrings import SubstringSearch
from filter_service.matching.terms import Keys

_MOST_GUESSED = 4
"""Keys of a term that are looked at to guess its likelihood."""
_MOST_REMEMBERED, _LONGEST_REMEMBERED = 256, 64
"""Texts, and their letters, whose search is remembered: values like `ok` and `failed` come again and again."""
_SKIPPED = 4096
"""Texts that are not remembered after so many came that were of no use."""


class _Key:
    """A number or text.

    Attributes:
        wanted, unwanted: for each block the slots that want it to be there, or not to be.
        reach: the blocks of `wanted`.
    """

    __slots__ = ("reach", "unwanted", "wanted")

    def __init__(self) -> None:
        self.reach = 0
        self.wanted = NOTHING
        self.unwanted = NOTHING


class KeyColumn(Column[Keys]):
    """The numbers or texts of a path.

    Attributes:
        misses: after `look`: for each block, slots that fail.
    """

    __slots__ = ("_keys", "misses")

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._keys: dict[float | str, _Key] = {}
        self.misses = NOTHING

    def add(self, share: Share, slot: int, term: Keys) -> None:
        """See `Column`."""
        bit = BITS[slot]
        self.terms += 1
        share.used |= bit
        if term.wanted:
            share.wanted |= bit
            share.needed |= bit
        for name in term.wanted:
            key = self._key(name)
            key.wanted = _with(key.wanted, share.number, bit)
            key.reach |= share.bit
        for name in term.unwanted:
            key = self._key(name)
            key.unwanted = _with(key.unwanted, share.number, bit)

    def remove(self, share: Share, slot: int, term: Keys) -> None:
        """See `Column`."""
        bit = BITS[slot]
        self.terms -= 1
        share.used ^= bit
        if term.wanted:
            share.wanted ^= bit
            share.needed ^= bit
        for name in term.wanted:
            key = self._keys[name]
            key.wanted = _without(key.wanted, share.number, bit)
            if share.number not in key.wanted:
                key.reach ^= share.bit
            self._drop_if_unused(name, key)
        for name in term.unwanted:
            key = self._keys[name]
            key.unwanted = _without(key.unwanted, share.number, bit)
            self._drop_if_unused(name, key)

    def likelihood(self, term: Keys) -> float:
        """By how many of the rules want one of the keys, as if the records were like the rules."""
        if not term.wanted:
            return 1.0
        keys = [self._keys[name] for name in term.wanted[:_MOST_GUESSED] if name in self._keys]
        return min(1.0, sum([bits.bit_count() for key in keys for bits in key.wanted.values()]) / (self.terms + 1))

    def place(self, term: Keys) -> float | str:
        """See `Column`."""
        return (term.wanted or term.unwanted)[0]

    def _new_share(self, number: int) -> Share:
        return Share(number)

    def _key(self, name: float | str) -> _Key:
        key = self._keys.get(name)
        if key is None:
            key = self._keys[name] = _Key()
        return key

    def _drop_if_unused(self, name: float | str, key: _Key) -> None:
        if not key.wanted and not key.unwanted:
            del self._keys[name]


class NumberColumn(KeyColumn):
    """Numbers that values must, or must not, be equal to."""

    __slots__ = ("_unwanting",)

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._unwanting: dict[int, int] = {}  # for each block, the slots that want any number but some

    def look(self, value: object) -> int:
        """See `Column`."""
        number = value if type(value) is float else values.numeric(value)
        if number is None:
            self.hits = NOTHING
            self.misses = self._unwanting
            return self.open
        key = self._keys.get(number)
        if key is None:
            self.hits = self.misses = NOTHING
            return self.open
        self.hits = key.wanted
        self.misses = key.unwanted
        return key.reach | self.open

    def add(self, share: Share, slot: int, term: Keys) -> None:
        """See `Column`."""
        super().add(share, slot, term)
        if not term.wanted:
            share.needed |= BITS[slot]
            self._unwanting[share.number] = self._unwanting.get(share.number, 0) | BITS[slot]

    def remove(self, share: Share, slot: int, term: Keys) -> None:
        """See `Column`."""
        super().remove(share, slot, term)
        if not term.wanted:
            share.needed ^= BITS[slot]
            self._unwanting = _without(self._unwanting, share.number, BITS[slot]) or {}


class TextColumn(KeyColumn):
    """Texts that the texts of values must, or must not, contain."""

    __slots__ = ("_recalled", "_remembered", "_search", "_skipped")

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._search = SubstringSearch()
        self._remembered: dict[str, _Found] = {}
        self._recalled = 0  # how often something remembered was asked for
        self._skipped = 0  # texts that will not be remembered

    def look(self, value: object) -> int:
        """See `Column`."""
        text = value if type(value) is str else values.text(value)
        if text is None:
            self.hits = self.misses = NOTHING
            return self.open
        found = self._remembered.get(text)
        if found is None:
            found = _together([self._keys[key] for key in self._search.find(text)])
            if self._skipped:
                self._skipped -= 1
            elif len(text) <= _LONGEST_REMEMBERED:
                self._remember(text, found)
        else:
            self._recalled += 1
        self.hits, self.misses, reach = found
        return reach | self.open

    def add(self, share: Share, slot: int, term: Keys) -> None:
        """See `Column`."""
        self._remembered.clear()
        super().add(share, slot, term)

    def remove(self, share: Share, slot: int, term: Keys) -> None:
        """See `Column`."""
        self._remembered.clear()
        super().remove(share, slot, term)

    def _remember(self, text: str, found: _Found) -> None:
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
            if self._recalled < _MOST_REMEMBERED:  # hardly a text comes twice
                self._skipped = _SKIPPED
            self._recalled = 0
        self._remembered[text] = found

    def _key(self, name: float | str) -> _Key:
        if name not in self._keys:
            self._search.add(str(name))
        return super()._key(name)

    def _drop_if_unused(self, name: float | str, key: _Key) -> None:
        super()._drop_if_unused(name, key)
        if name not in self._keys:
            self._search.remove(str(name))


_Found = tuple[dict[int, int], dict[int, int], int]
"""`hits`, `misses`, and the blocks in `hits`."""


def _together(keys: Sequence[_Key]) -> _Found:
    """What keys say that are there at once."""
    if not keys:
        return NOTHING, NOTHING, 0
    first = keys[0]
    if len(keys) == 1:
        return first.wanted, first.unwanted, first.reach
    wanted, unwanted, reach = first.wanted.copy(), NOTHING, 0
    for key in keys[1:]:
        for number, bits in key.wanted.items():
            wanted[number] = wanted.get(number, 0) | bits
    for key in keys:
        reach |= key.reach
        if key.unwanted:
            unwanted = unwanted.copy()
            for number, bits in key.unwanted.items():
                unwanted[number] = unwanted.get(number, 0) | bits
    return wanted, unwanted, reach


def _with(slots: dict[int, int], number: int, bit: int) -> dict[int, int]:
    """Slots by block, with one more."""
    if not slots:  # it may be NOTHING
        return {number: bit}
    slots[number] = slots.get(number, 0) | bit
    return slots


def _without(slots: dict[int, int], number: int, bit: int) -> dict[int, int]:
    """Slots by block, with one less."""
    slots[number] ^= bit
    if not slots[number]:
        del slots[number]
    return slots or NOTHING
