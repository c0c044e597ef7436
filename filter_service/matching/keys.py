"""Numbers and texts by themselves: `eq` and `neq`, `in` and `nin`.

A column keeps, for each distinct number or text, the slots that want it to be there and those that want it not to be.
One look-up (`NumberColumn`) or one search (`TextColumn`) finds all that are there, and only these count.

Used by `rule_index` and `blocks`, on the reader's thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import cast

from filter_service import values
from filter_service.matching.columns import Answers, Column, Share
from filter_service.matching.key import NO_KEY, Key, KeyAnswers, together
from filter_service.matching.paths import Path
from filter_service.matching.sets import BITS
from filter_service.matching.substrings import SubstringSearch
from filter_service.matching.terms import Keys

_MOST_GUESSED = 4
"""Keys of a term that are looked at to guess its likelihood."""
_MOST_REMEMBERED, _LONGEST_REMEMBERED = 256, 64
"""Texts, and their letters, whose search is remembered: values like `ok` and `failed` come again and again."""
_SKIPPED = 4096
"""Texts that are not remembered after so many came that were of no use."""


class KeyColumn(Column[Keys]):
    """The numbers or texts of a path."""

    __slots__ = ("_keys",)

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._keys: dict[float | str, Key] = {}

    def add(self, share: Share, slot: int, term: Keys) -> None:
        """See `Column`."""
        bit = BITS[slot]
        self.terms += 1
        share.used |= bit
        if term.wanted:
            share.wanted |= bit
            share.needed |= bit
        if term.unwanted:
            share.refusing |= bit
        for name in term.wanted:
            self._key(name).want(share, slot)
        for name in term.unwanted:
            self._key(name).refuse(share, slot)

    def remove(self, share: Share, slot: int, term: Keys) -> None:
        """See `Column`."""
        bit = BITS[slot]
        self.terms -= 1
        share.used ^= bit
        if term.wanted:
            share.wanted ^= bit
            share.needed ^= bit
        share.refusing &= ~bit
        for name in term.wanted:
            key = self._keys[name]
            key.unwant(share, slot)
            self._drop_if_idle(name, key)
        for name in term.unwanted:
            key = self._keys[name]
            key.unrefuse(share, slot)
            self._drop_if_idle(name, key)

    def likelihood(self, term: Keys) -> float:
        """By how many of the rules want one of the keys, as if the records were like the rules."""
        if not term.wanted:
            return 1.0
        keys = [self._keys[name] for name in term.wanted[:_MOST_GUESSED] if name in self._keys]
        return min(1.0, sum([slots.bit_count() for key in keys for slots in key.hits().values()]) / (self.terms + 1))

    def place(self, term: Keys) -> float | str:
        """See `Column`."""
        return (term.wanted or term.unwanted)[0]

    def _key(self, name: float | str) -> Key:
        key = self._keys.get(name)
        if key is None:
            key = self._keys[name] = Key()
        return key

    def _drop_if_idle(self, name: float | str, key: Key) -> None:
        if key.is_idle:
            del self._keys[name]


class NumberColumn(KeyColumn):
    """Numbers that values must, or must not, be equal to."""

    __slots__ = ("_no_number",)
    cost = 2

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._no_number = Key()  # refuses the slots that want any number but some

    def look_all(self, scalars: Sequence[object], types: set[type]) -> Answers:
        """See `Column`."""
        if types <= {float, int}:
            try:
                return KeyAnswers(list(map(self._keys.get, map(float, scalars), repeat(NO_KEY))))  # type: ignore[arg-type]
            except OverflowError:  # an integer beyond all floats
                pass
        return KeyAnswers(list(map(self._look, scalars)))

    def _look(self, value: object) -> Key:
        number = values.numeric(value)
        return self._no_number if number is None else self._keys.get(number, NO_KEY)

    def add(self, share: Share, slot: int, term: Keys) -> None:
        """See `Column`."""
        super().add(share, slot, term)
        if not term.wanted:
            share.needed |= BITS[slot]
            self._no_number.refuse(share, slot)

    def remove(self, share: Share, slot: int, term: Keys) -> None:
        """See `Column`."""
        super().remove(share, slot, term)
        if not term.wanted:
            share.needed ^= BITS[slot]
            self._no_number.unrefuse(share, slot)


class TextColumn(KeyColumn):
    """Texts that the texts of values must, or must not, contain."""

    __slots__ = ("_recalled", "_remembered", "_search", "_skipped")
    cost = 5

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._search: SubstringSearch[Key] = SubstringSearch()
        self._remembered: dict[str | None, Key] = {}
        self._recalled = 0  # how often something remembered was asked for
        self._skipped = 0  # texts that will not be remembered
        self._forget()

    def look_all(self, scalars: Sequence[object], types: set[type]) -> Answers:
        """See `Column`."""
        texts: Sequence[str | None]
        texts = scalars if types == {str} else list(map(values.text, scalars))  # type: ignore[assignment]
        keys = list(map(self._remembered.get, texts))
        if None not in keys:
            self._recalled += len(texts)
            return KeyAnswers(cast(list[Key], keys))
        unknown = list({text: None for text, key in zip(texts, keys, strict=True) if key is None and text is not None})
        self._recalled += len(texts) - len(unknown)
        found: dict[str | None, Key] = dict.fromkeys(unknown, NO_KEY)
        for index, contained in self._search.find_all(unknown).items():
            found[unknown[index]] = together(contained)
        self._remember(found)
        return KeyAnswers([key or found[text] for text, key in zip(texts, keys, strict=True)])

    def add(self, share: Share, slot: int, term: Keys) -> None:
        """See `Column`."""
        self._forget()
        super().add(share, slot, term)

    def remove(self, share: Share, slot: int, term: Keys) -> None:
        """See `Column`."""
        self._forget()
        super().remove(share, slot, term)

    def _remember(self, found: Mapping[str | None, Key]) -> None:
        if self._skipped > 0:
            self._skipped -= len(found)
            return
        for text, key in found.items():
            if text is None or len(text) > _LONGEST_REMEMBERED:
                continue
            if len(self._remembered) > _MOST_REMEMBERED:
                self._forget()
                if self._recalled < _MOST_REMEMBERED:  # hardly a text comes twice
                    self._skipped = _SKIPPED
                self._recalled = 0
                return
            self._remembered[text] = key

    def _forget(self) -> None:
        self._remembered = {None: NO_KEY}  # what has no text contains nothing

    def _key(self, name: float | str) -> Key:
        is_new = name not in self._keys
        key = super()._key(name)
        if is_new:
            self._search.add(str(name), key)
        return key

    def _drop_if_idle(self, name: float | str, key: Key) -> None:
        super()._drop_if_idle(name, key)
        if key.is_idle:
            self._search.remove(str(name))
