"""Sets of slots in both their forms."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from filter_service.matching.sets import (
    BITS,
    SET_BYTES,
    SLOTS,
    flags_of,
    integer,
    joined,
    members_of,
    not_empty,
    place_of,
    sets_of,
    slots_of,
    words_of,
)

sets = st.sets(st.integers(0, SLOTS - 1), max_size=40) | st.just(set(range(SLOTS)))


def _integer(slots: set[int]) -> int:
    return sum(BITS[slot] for slot in slots)


@given(sets)
def test_one_set(slots: set[int]) -> None:
    """An integer, words and flags say the same."""
    number = _integer(slots)
    words = words_of(number)
    assert integer(words) == number
    assert slots_of(number) == sorted(slots, reverse=True)
    assert flags_of(words).nonzero()[0].tolist() == sorted(slots)
    assert integer(sets_of(flags_of(words))) == number
    assert all(words[word] & np.uint64(bit) for word, bit in map(place_of, slots))


@given(st.lists(sets, max_size=20))
def test_many_sets(many: list[set[int]]) -> None:
    """What is in them comes set by set, slot by slot."""
    together = joined(_integer(slots).to_bytes(SET_BYTES, "little") for slots in many)
    numbers, slots = members_of(together)
    expected = [(number, slot) for number, some in enumerate(many) for slot in sorted(some)]
    assert list(zip(numbers.tolist(), slots.tolist(), strict=True)) == expected
    assert not_empty(together).tolist() == [number for number, some in enumerate(many) if some]
