"""Sets of a block's slots, each a row of words, so that numpy ANDs and reads many at once.

A set that stands alone is an integer with the bits of its slots; `words_of` makes the other form of it.
Used by all of `matching` that deals with blocks. Pure functions.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

SLOTS = 1024
"""Rules of a block."""
_WORD_BITS = 64
WORDS = SLOTS // _WORD_BITS
SET_BYTES = SLOTS // 8
NO_SLOTS = bytes(SET_BYTES)

BITS = [1 << slot for slot in range(SLOTS)]
"""The set that holds one slot alone."""

_WORD = np.dtype("<u8")
"""Little-endian everywhere, as bits are numbered."""
Sets = NDArray[np.uint64]
"""Sets of slots, each `WORDS` words along the last axis."""
Numbers = NDArray[np.intp]
"""Numbers of rows, blocks, slots or other things to be taken from an array."""
Flags = NDArray[np.bool_]


def joined(parts: Iterable[bytes]) -> Sets:
    """Sets from the bytes of each, little-endian; they may be changed."""
    return np.frombuffer(bytearray().join(parts), _WORD).reshape(-1, WORDS)


def no_sets(*shape: int) -> Sets:
    """So many empty sets, along so many axes."""
    return np.zeros((*shape, WORDS), _WORD)


def words_of(slots: int) -> Sets:
    """One set. Must not be changed."""
    return np.frombuffer(slots.to_bytes(SET_BYTES, "little"), _WORD)


def integer(words: Sets) -> int:
    """One set as an integer."""
    return int.from_bytes(words.tobytes(), "little")


def place_of(slot: int) -> tuple[int, int]:
    """In which word a slot is, and the word that holds it alone."""
    return slot // _WORD_BITS, 1 << slot % _WORD_BITS


def flags_of(sets: Sets) -> Flags:
    """For each slot whether a set holds it, along the last axis."""
    return np.unpackbits(np.ascontiguousarray(sets).view(np.uint8), axis=-1, bitorder="little").view(np.bool_)


def sets_of(flags: Flags) -> Sets:
    """Undoes `flags_of`."""
    return np.packbits(flags, axis=-1, bitorder="little").view(_WORD)


def members_of(sets: Sets) -> tuple[Numbers, Numbers]:
    """What is in some sets.

    Returns:
        Numbers of the sets, and with each a slot that it holds; in order.
    """
    # Of many rules few match: most words, and most octets of the others, need not be looked at bit by bit.
    words = sets.reshape(-1)
    used_words = (words != 0).nonzero()[0]
    octets = words.take(used_words).view(np.uint8)
    used = (octets != 0).nonzero()[0]
    bits = np.unpackbits(octets.take(used), bitorder="little").view(np.bool_).nonzero()[0]
    used = used.take(bits >> 3)
    places = used_words.take(used >> 3) * _WORD_BITS + ((used & 7) << 3) + (bits & 7)
    return places // SLOTS, places % SLOTS


def not_empty(sets: Sets) -> Numbers:
    """Numbers of the sets that hold anything."""
    # Words that tell of eight words each are few: to go through the sets themselves takes numpy four times as long.
    first, *others = (sets != 0).view(_WORD).T
    any_of: Sets = reduce(np.bitwise_or, others, first)
    return any_of.nonzero()[0]


def slots_of(slots: int) -> list[int]:
    """The slots in a set, the highest first."""
    found = []
    while slots:
        slot = slots.bit_length() - 1
        slots ^= BITS[slot]
        found.append(slot)
    return found


def grown(array: NDArray[Any], length: int, fill: float = 0) -> NDArray[Any]:
    """An array made longer."""
    more = np.full((length - len(array), *array.shape[1:]), fill, array.dtype)
    return np.concatenate((array, more))
