"""What rules demand at one path of one kind of value, for all blocks together: the base of what looks it up.

A *block* is a group of up to `SLOTS` rules (`blocks`); a rule's *slot* is its number there. A set of slots is an
integer with their bits, or, where much is matched at once, a row of words for numpy (`sets`). Sets of blocks are
integers. A *column* is asked about the values of many records (`look_all`), and its *answers* tell which slots of a
block pass for each of them. What it keeps for a block is its *share*.

Used by `rule_index`, `blocks` and `lookup`, on the reader's thread.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from filter_service.matching.paths import Path
from filter_service.matching.sets import BITS, Flags, Numbers, Sets, no_sets
from filter_service.matching.terms import Term

T = TypeVar("T", bound=Term)


class Share:
    """What a column keeps for one block.

    Attributes:
        number: of the block, from 1 on.
        bit: the set that holds the block alone.
        wanted: slots that fail unless the column finds that they pass.
        needed: slots that fail where the path is missing; `wanted` and more.
        used: slots that have a term here; `needed` and more.
        refusing: slots that something which the column finds makes fail.
    """

    __slots__ = ("bit", "needed", "number", "refusing", "used", "wanted")

    def __init__(self, number: int) -> None:
        self.number = number
        self.bit = 1 << (number - 1)
        self.wanted = 0
        self.needed = 0
        self.used = 0
        self.refusing = 0

    def demand(self, slot: int) -> None:
        """Has a slot fail unless the column finds that it passes."""
        bit = BITS[slot]
        self.wanted |= bit
        self.needed |= bit
        self.used |= bit

    def release(self, slot: int) -> None:
        """Undoes `demand`."""
        bit = BITS[slot]
        self.wanted ^= bit
        self.needed ^= bit
        self.used ^= bit


@dataclass(frozen=True, slots=True)
class Pairs:
    """Records, each with a block that it may concern.

    Attributes:
        rows: numbers of the records among those that were looked up.
        blocks: numbers of the blocks beside them.
    """

    rows: Numbers
    blocks: Numbers

    def take(self, places: Numbers) -> Pairs:
        """Some of the pairs."""
        return Pairs(self.rows.take(places), self.blocks.take(places))


class Answers(ABC):
    """What a column says about the values of some records, each of which has a row.

    Attributes:
        told: for each row, something that is equal where the same is said.
        reach: for each row, the blocks in which slots pass in spite of `Share.wanted`.
        is_exact: whether there is no need of `holds` and `held`.
    """

    __slots__ = ("is_exact", "reach", "told")

    def __init__(self, told: Sequence[Hashable], reach: list[int], *, is_exact: bool = True) -> None:
        self.told = told
        self.reach = reach
        self.is_exact = is_exact

    @abstractmethod
    def narrowed(self, kept: Numbers) -> Answers:
        """The same about some of the rows only."""

    @abstractmethod
    def hit(self, share: Any, row: int) -> int:
        """Slots of a block that pass in spite of `Share.wanted`, as far as is known before `holds`."""

    @abstractmethod
    def hits(self, pairs: Pairs) -> Sets:
        """The same for pairs; nothing where the block has no share. May be changed."""

    def missed(self, share: Any, row: int) -> int:
        """Slots of a block that fail whatever else the share says."""
        return 0

    def misses(self, pairs: Pairs) -> tuple[Numbers, Sets]:
        """The same for those of some pairs for which there are any: their places among the pairs, and the sets."""
        return np.empty(0, np.intp), no_sets(0)

    def holds(self, share: Any, row: int, slot: int) -> bool:
        """Whether a slot of a block really passes that `hit` tells, or that passes anyway."""
        return True

    def held(self, pairs: Pairs, slots: Numbers) -> Flags:
        """The same for slots, each of the pair beside it."""
        return np.ones(len(slots), np.bool_)


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
    def look_all(self, scalars: Sequence[object], types: set[type]) -> Answers:
        """Looks scalars up.

        Args:
            scalars: of many records.
            types: which Python types they have.
        """

    def share(self, number: int) -> Any:
        """The share of a block, made when there is none."""
        share = self.shares.get(number)
        if share is None:
            share = self.shares[number] = self._new_share(number)
            self.blocks |= share.bit
        return share

    def drop(self, share: Any) -> None:
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

    def _new_share(self, number: int) -> Any:
        return Share(number)
