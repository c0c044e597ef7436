"""Numbers and texts by themselves: `eq` and `neq`, `in` and `nin`.

A column keeps, for each distinct number or text, the slots that want it to be there and those that want it not to be.
One look-up (`NumberColumn`) or one search (`TextColumn`) per record finds all that are there, and only these count.

Used by `rule_index` and `blocks`, on the reader's thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

from filter_service import values
from filter_service.matching.columns import BITS, NO_ANSWER, NOTHING, Answer, Column, Share
from filter_service.matching.paths import Path
from filter_service.matching.substrings import SubstringSearch
from filter_service.matching.terms import Keys

_MOST_GUESSED = 4
"""Keys of a term that are looked at to guess its likelihood."""
_MOST_REMEMBERED, _LONGEST_REMEMBERED = 256, 64
"""Texts, and their letters, whose search is remembered: values like `ok` and `failed` come again and again."""
_SKIPPED = 4096
"""Texts that are not remembered after so many came that were of no use."""


class KeyShare(Share):
    """A block's keys.

    Attributes:
        unwanting: slots that some key makes fail.
    """

    __slots__ = ("unwanting",)

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.unwanting = 0


class KeyColumn(Column[Keys]):
    """The numbers or texts of a path. What there is to say about each is kept as an answer: in `hits` the slots that
    want it to be there, in `misses` those that want it not to be.
    """

    __slots__ = ("_keys",)

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._keys: dict[float | str, Answer] = {}

    def add(self, share: KeyShare, slot: int, term: Keys) -> None:
        """See `Column`."""
        bit = BITS[slot]
        self.terms += 1
        share.used |= bit
        if term.wanted:
            share.wanted |= bit
            share.needed |= bit
        if term.unwanted:
            share.unwanting |= bit
        for name in term.wanted:
            key = self._key(name)
            key.hits = _with(key.hits, share.number, bit)
            key.reach |= share.bit
        for name in term.unwanted:
            key = self._key(name)
            key.misses = _with(key.misses, share.number, bit)

    def remove(self, share: KeyShare, slot: int, term: Keys) -> None:
        """See `Column`."""
        bit = BITS[slot]
        self.terms -= 1
        share.used ^= bit
        if term.wanted:
            share.wanted ^= bit
            share.needed ^= bit
        share.unwanting &= ~bit
        for name in term.wanted:
            key = self._keys[name]
            key.hits = _without(key.hits, share.number, bit)
            if share.number not in key.hits:
                key.reach ^= share.bit
            self._drop_if_unused(name, key)
        for name in term.unwanted:
            key = self._keys[name]
            key.misses = _without(key.misses, share.number, bit)
            self._drop_if_unused(name, key)

    def likelihood(self, term: Keys) -> float:
        """By how many of the rules want one of the keys, as if the records were like the rules."""
        if not term.wanted:
            return 1.0
        keys = [self._keys[name] for name in term.wanted[:_MOST_GUESSED] if name in self._keys]
        return min(1.0, sum([bits.bit_count() for key in keys for bits in key.hits.values()]) / (self.terms + 1))

    def place(self, term: Keys) -> float | str:
        """See `Column`."""
        return (term.wanted or term.unwanted)[0]

    def _new_share(self, number: int) -> KeyShare:
        return KeyShare(number)

    def _key(self, name: float | str) -> Answer:
        key = self._keys.get(name)
        if key is None:
            key = self._keys[name] = Answer()
        return key

    def _drop_if_unused(self, name: float | str, key: Answer) -> None:
        if not key.hits and not key.misses:
            del self._keys[name]


class NumberColumn(KeyColumn):
    """Numbers that values must, or must not, be equal to."""

    __slots__ = ("_no_number",)
    cost = 2

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._no_number = Answer()  # misses the slots that want any number but some

    def look(self, value: object) -> Answer:
        """See `Column`."""
        number = value if type(value) is float else values.numeric(value)
        return self._no_number if number is None else self._keys.get(number, NO_ANSWER)

    def look_all(self, values: Sequence[object], types: set[type]) -> list[Answer]:
        """See `Column`."""
        if types != {float}:
            return super().look_all(values, types)
        return list(map(self._keys.get, values, repeat(NO_ANSWER)))  # type: ignore[arg-type]  # they are floats

    def add(self, share: KeyShare, slot: int, term: Keys) -> None:
        """See `Column`."""
        super().add(share, slot, term)
        if not term.wanted:
            share.needed |= BITS[slot]
            self._no_number.misses = _with(self._no_number.misses, share.number, BITS[slot])

    def remove(self, share: KeyShare, slot: int, term: Keys) -> None:
        """See `Column`."""
        super().remove(share, slot, term)
        if not term.wanted:
            share.needed ^= BITS[slot]
            self._no_number.misses = _without(self._no_number.misses, share.number, BITS[slot])


class TextColumn(KeyColumn):
    """Texts that the texts of values must, or must not, contain."""

    __slots__ = ("_recalled", "_remembered", "_search", "_skipped")
    cost = 5

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._search = SubstringSearch()
        self._remembered: dict[str, Answer] = {}
        self._recalled = 0  # how often something remembered was asked for
        self._skipped = 0  # texts that will not be remembered

    def look(self, value: object) -> Answer:
        """See `Column`."""
        text = value if type(value) is str else values.text(value)
        if text is None:
            return NO_ANSWER
        found = self._remembered.get(text)
        if found is None:
            found = _together([self._keys[key] for key in self._search.find(text)])
            if self._skipped:
                self._skipped -= 1
            elif len(text) <= _LONGEST_REMEMBERED:
                self._remember(text, found)
        else:
            self._recalled += 1
        return found

    def add(self, share: KeyShare, slot: int, term: Keys) -> None:
        """See `Column`."""
        self._remembered.clear()
        super().add(share, slot, term)

    def remove(self, share: KeyShare, slot: int, term: Keys) -> None:
        """See `Column`."""
        self._remembered.clear()
        super().remove(share, slot, term)

    def _remember(self, text: str, found: Answer) -> None:
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
            if self._recalled < _MOST_REMEMBERED:  # hardly a text comes twice
                self._skipped = _SKIPPED
            self._recalled = 0
        self._remembered[text] = found

    def _key(self, name: float | str) -> Answer:
        if name not in self._keys:
            self._search.add(str(name))
        return super()._key(name)

    def _drop_if_unused(self, name: float | str, key: Answer) -> None:
        super()._drop_if_unused(name, key)
        if name not in self._keys:
            self._search.remove(str(name))


def _together(keys: Sequence[Answer]) -> Answer:
    """What keys say that are there at once."""
    if not keys:
        return NO_ANSWER
    if len(keys) == 1:
        return keys[0]
    together = Answer()
    together.hits = keys[0].hits.copy()
    for key in keys[1:]:
        for number, bits in key.hits.items():
            together.hits[number] = together.hits.get(number, 0) | bits
    for key in keys:
        together.reach |= key.reach
        if key.misses:
            together.misses = together.misses.copy()
            for number, bits in key.misses.items():
                together.misses[number] = together.misses.get(number, 0) | bits
    return together


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
