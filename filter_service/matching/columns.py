"""What rules demand at one path of one kind of value, for all blocks together: the base of what looks it up.

A *block* is a group of up to `SLOTS` rules (`blocks`); a rule's *slot* is its number there, from 1 on, and a set of
slots is an integer with their bits. Sets of blocks are integers too. A *column* is asked about the values of many
records at once (`look_all`) and gives an *answer* for each: for every block with rules that have a term here, which
slots pass. What it keeps for a block is its *share*.

Used by `rule_index` and `blocks`, on the reader's thread.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from filter_service.matching.paths import Path
from filter_service.matching.terms import Term

SLOTS = 1024
"""Rules of a block. An AND of so many bits takes 30 ns, less than Python takes to ask for it."""

BITS = [0] + [1 << slot for slot in range(SLOTS)]
"""The set that holds one slot alone; the length of the integer in bits is the slot."""

NOTHING: dict[int, int] = {}
"""No slots of any block. Never changed."""

T = TypeVar("T", bound=Term)


def slots_of(bits: int) -> Iterator[int]:
    """The slots in a set, the highest first."""
    while bits:
        slot = bits.bit_length()
        yield slot
        bits ^= BITS[slot]


class Share:
    """What a column keeps for one block.

    Attributes:
        number: of the block, from 1 on.
        bit: the set that holds the block alone.
        wanted: slots that fail unless the column finds that they pass.
        needed: slots that fail where the path is missing; `wanted` and more.
        used: slots that have a term here; `needed` and more.
    """

    __slots__ = ("bit", "needed", "number", "used", "wanted")

    def __init__(self, number: int) -> None:
        self.number = number
        self.bit = 1 << (number - 1)
        self.wanted = 0
        self.needed = 0
        self.used = 0


class Answer:
    """What a column says about a value.

    Attributes:
        hits: for each block, slots that pass in spite of `Share.wanted`.
        reach: the blocks in `hits`.
        misses: for each block, slots that fail whatever the share says.
        doubts: for each block, slots in `hits` that must be compared with the value.
    """

    __slots__ = ("doubts", "hits", "misses", "reach")

    def __init__(self) -> None:
        self.hits = NOTHING
        self.reach = 0
        self.misses = NOTHING
        self.doubts = NOTHING


NO_ANSWER = Answer()
"""About a value that is of no concern. Never changed."""


class Column(ABC, Generic[T]):
    """The terms of one path and kind.

    Attributes:
        cost: what to look a value up takes, in terms of other kinds of columns.
        path: where to look.
        serial: greater than that of any column made before.
        terms: how many there are.
        blocks: those that have a share.
        open: blocks that may have matches even if the column finds nothing for them. The others, all of whose slots
            are `wanted` here, are its complement.
    """

    __slots__ = ("blocks", "open", "path", "serial", "shares", "terms")
    cost: ClassVar[int]
    _serials = itertools.count()

    def __init__(self, path: Path) -> None:
        self.path = path
        self.serial = next(Column._serials)
        self.terms = 0
        self.blocks = 0
        self.open = ~0
        self.shares: dict[int, Any] = {}

    @abstractmethod
    def look(self, value: object) -> Answer:
        """Looks a scalar up."""

    def look_all(self, values: Sequence[object], types: set[type]) -> list[Answer]:
        """Looks scalars up.

        Args:
            values: of many records.
            types: which Python types they have.
        """
        return list(map(self.look, values))

    @abstractmethod
    def _new_share(self, number: int) -> Any: ...

    def share(self, number: int) -> Any:
        """The share of a block, made when there is none."""
        share = self.shares.get(number)
        if share is None:
            share = self.shares[number] = self._new_share(number)
            self.blocks |= share.bit
        return share

    def drop(self, share: Share) -> None:
        """Forgets a share without slots."""
        del self.shares[share.number]
        self.blocks &= ~share.bit
        self.open |= share.bit

    @abstractmethod
    def add(self, share: Any, slot: int, term: T) -> None:
        """Puts a rule's term into its slot."""

    @abstractmethod
    def remove(self, share: Any, slot: int, term: T) -> None:
        """Undoes `add`."""

    def move(self, old: Any, new: Any, moved: int, terms: Sequence[tuple[int, T]]) -> None:
        """Moves slots from a share to an empty one of another block, where they have the same numbers.

        Args:
            moved: the slots.
            terms: the same with their terms; all of this column.
        """
        for slot, term in terms:
            self.add(new, slot, term)
            self.remove(old, slot, term)

    @abstractmethod
    def likelihood(self, term: T) -> float:
        """A guess, from 0 to 1, of how many records pass a term, by the terms that are there."""

    @abstractmethod
    def place(self, term: T) -> float | str:
        """Where a term is among those of this column: terms with places close together pass for the same records."""
