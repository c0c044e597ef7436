"""What rules say of a single value, such as a text that they look for, and of the values of many records.

Used by the columns that keep something for each distinct value: `keys` and `truths`.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import numpy as np

from filter_service.matching.columns import Answers, Pairs, Share
from filter_service.matching.sets import BITS, NO_SLOTS, SET_BYTES, Numbers, Sets, joined

_reach = attrgetter("reach")

_ALIKE = 2
"""Rows of the same key and block, on average, from which on each set is made once and copied."""

_NOTHING: dict[int, int] = {}
"""No slots of any block. Never changed."""


class Key:
    """What rules say of a value.

    Attributes:
        block, slots: a block, and its slots that pass in spite of `Share.wanted`; mostly there is only one. 0 for none.
        more: the same for others.
        reach: all these blocks.
        misses: for each block, slots that fail whatever else its share says.
    """

    __slots__ = ("block", "misses", "more", "reach", "slots")

    def __init__(self) -> None:
        self.block = 0
        self.slots = 0
        self.more = _NOTHING
        self.reach = 0
        self.misses = _NOTHING

    @property
    def is_idle(self) -> bool:
        """Whether nothing is said."""
        return not self.reach and not self.misses

    def hits(self) -> dict[int, int]:
        """For each block, slots that pass."""
        return {self.block: self.slots, **self.more} if self.block else self.more

    def want(self, share: Share, slot: int) -> None:
        """Has a slot pass."""
        number = share.number
        if not self.reach:
            # Most keys are wanted once. Sets that all of these share stay in the processor's cache.
            self.block, self.slots, self.reach = number, BITS[slot], share.bit
            return
        if number == self.block:
            self.slots |= BITS[slot]
        else:
            self.more = _with(self.more, number, slot)
        self.reach |= share.bit

    def unwant(self, share: Share, slot: int) -> None:
        """Undoes `want`."""
        if share.number != self.block:
            self.more = _without(self.more, share.number, slot)
            if share.number in self.more:
                return
        else:
            self.slots ^= BITS[slot]
            if self.slots:
                return
            self.block = 0
        self.reach ^= share.bit

    def refuse(self, share: Share, slot: int) -> None:
        """Has a slot fail."""
        self.misses = _with(self.misses, share.number, slot)

    def unrefuse(self, share: Share, slot: int) -> None:
        """Undoes `refuse`."""
        self.misses = _without(self.misses, share.number, slot)


def _with(slots: dict[int, int], number: int, slot: int) -> dict[int, int]:
    """Slots by block, with one more."""
    if not slots:  # it may be `_NOTHING`
        return {number: BITS[slot]}
    slots[number] = slots.get(number, 0) | BITS[slot]
    return slots


def _without(slots: dict[int, int], number: int, slot: int) -> dict[int, int]:
    """Slots by block, with one less."""
    slots[number] ^= BITS[slot]
    if not slots[number]:
        del slots[number]
    return slots or _NOTHING


NO_KEY = Key()
"""About a value that is of no concern. Never changed."""


def together(keys: Sequence[Key]) -> Key:
    """What keys say that are there at once. Must not be changed."""
    if len(keys) < 2:
        return keys[0] if keys else NO_KEY
    every = Key()
    more: dict[int, int] = {}
    for key in keys:
        every.reach |= key.reach
        if key.block:
            more[key.block] = more.get(key.block, 0) | key.slots
        for number, slots in key.more.items():
            more[number] = more.get(number, 0) | slots
        if key.misses:
            every.misses = every.misses.copy()
            for number, slots in key.misses.items():
                every.misses[number] = every.misses.get(number, 0) | slots
    every.more = more
    return every


class KeyAnswers(Answers):
    """What a column says that has a key for each row."""

    __slots__ = ("_keys", "_numbered")

    def __init__(self, keys: list[Key]) -> None:
        """Takes the keys of the rows."""
        super().__init__(keys, list(map(_reach, keys)))
        self._keys = keys
        self._numbered: tuple[list[Key], Numbers] | None = None

    def narrowed(self, kept: Numbers) -> KeyAnswers:
        """See `Answers`."""
        keys = self._keys
        return KeyAnswers([keys[row] for row in kept.tolist()])

    def hit(self, share: Share, row: int) -> int:
        """See `Answers`."""
        key = self._keys[row]
        return key.slots if key.block == share.number else key.more.get(share.number, 0)

    def hits(self, pairs: Pairs) -> Sets:
        """See `Answers`."""
        distinct, numbers = self._distinct()
        beyond = int(pairs.blocks.max(initial=0)) + 1
        if len(distinct) * beyond * _ALIKE <= len(pairs.blocks):
            every = joined([_octets(key, block) for key in distinct for block in range(beyond)])
            hits: Sets = every.take(numbers.take(pairs.rows) * beyond + pairs.blocks, axis=0)
            return hits
        keys = [self._keys[row] for row in pairs.rows.tolist()]
        return joined(map(_octets, keys, pairs.blocks.tolist()))

    def missed(self, share: Share, row: int) -> int:
        """See `Answers`."""
        return self._keys[row].misses.get(share.number, 0)

    def misses(self, pairs: Pairs) -> tuple[Numbers, Sets]:
        """See `Answers`."""
        keys = self._keys
        distinct, numbers = self._distinct()
        places = np.array([bool(key.misses) for key in distinct]).take(numbers.take(pairs.rows)).nonzero()[0]
        some = pairs.take(places)
        return places, joined(
            [
                keys[row].misses.get(block, 0).to_bytes(SET_BYTES, "little")
                for row, block in zip(some.rows.tolist(), some.blocks.tolist(), strict=True)
            ]
        )

    def _distinct(self) -> tuple[list[Key], Numbers]:
        """The keys without those that come again, and for each row the number of its key among them."""
        if self._numbered is None:
            numbers = {key: number for number, key in enumerate(set(self._keys))}
            self._numbered = list(numbers), np.fromiter(map(numbers.__getitem__, self._keys), np.intp, len(self._keys))
        return self._numbered


def _octets(key: Key, block: int) -> bytes:
    """Slots of a block that pass, as the bytes of a set."""
    slots = key.slots if key.block == block else key.more.get(block)
    return slots.to_bytes(SET_BYTES, "little") if slots else NO_SLOTS
