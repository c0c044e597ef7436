"""Groups of rules that are answered together: an AND over what the columns know of a block gives its matches.

Made and filled by `placement`, asked by `rule_index`, on the reader's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from filter_service.matching.columns import BITS, Column, Share
from filter_service.matching.entry import RuleEntry
from filter_service.matching.keys import KeyColumn
from filter_service.matching.paths import Path
from filter_service.matching.ranges import RangeColumn, RangeShare
from filter_service.matching.terms import Term


class Shape:
    """Records that have the same of the known paths.

    Attributes:
        columns: those of the paths.
        looks: what to look up: a place among the values read from the record, and the column's `look`.
        alive: the blocks in which some rule may match such records.
        version: of the index, for which `alive` holds.
    """

    __slots__ = ("alive", "columns", "looks", "version")

    def __init__(self, places: list[tuple[int, Path]]) -> None:
        """Takes what `PathTree.places` found."""
        self.columns: dict[Column[Any], None] = {}
        self.looks: list[tuple[int, Callable[[object], int]]] = []
        for place, path in places:
            for column in path.columns:
                self.columns[column] = None
                self.looks.append((place, column.look))
        self.alive = 0
        self.version = -1


class _Plan:
    """How a block is asked about records of one shape.

    Attributes:
        bits: the slots whose rules need no path that such records lack.
        columns: what to ask, and the slots that pass whatever hits.
        keys: the columns of keys among them.
        ranges: the columns of ranges among them, and the block's share.
    """

    __slots__ = ("bits", "columns", "keys", "ranges")

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.columns: list[tuple[Column[Any], int]] = []
        self.keys: list[KeyColumn] = []
        self.ranges: list[tuple[RangeColumn, RangeShare]] = []


class Block:
    """Up to `SLOTS` rules.

    Attributes:
        number: of the block, from 1 on.
        bit: the set that holds the block alone.
        size: how many rules there are.
        undemanding: the slots of rules that no missing path keeps from matching.
    """

    __slots__ = (
        "_checked",
        "_closed",
        "_entries",
        "_live",
        "_needs",
        "_plans",
        "_shares",
        "bit",
        "number",
        "size",
        "undemanding",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.bit = 1 << number >> 1
        self.size = 0
        self.undemanding = 0
        self._live = 0  # slots in use
        self._checked = 0  # slots of rules with conditions that no column looks up
        self._entries: list[Any] = [None]  # the rule in each slot, or None
        self._shares: dict[Column[Any], Share] = {}
        self._needs: list[int] = []  # in binary, for each slot, how many columns need a value; by digit
        self._plans: dict[Shape, _Plan] = {}
        self._closed: set[Column[Any]] = set()  # columns in whose `open` the block is not

    # ---- what is there

    def entries(self) -> list[RuleEntry[Any]]:
        """The rules."""
        return [entry for entry in self._entries if entry is not None]

    def add(self, entry: RuleEntry[Any]) -> None:
        """Takes a rule in; there must be room."""
        slot = (~self._live & (self._live + 1)).bit_length()
        for column, term in zip(entry.columns, entry.terms, strict=True):
            share = self._shares.get(column)
            if share is None:
                share = self._shares[column] = column.share(self.number)
            column.add(share, slot, term)
        self._put(entry, slot)

    def remove(self, entry: RuleEntry[Any]) -> None:
        """Puts a rule out; it must be here."""
        self._take(entry)
        for column, term in zip(entry.columns, entry.terms, strict=True):
            share = self._shares[column]
            column.remove(share, entry.slot, term)
            if not share.used:
                self._drop(column)

    def move(self, entries: list[RuleEntry[Any]], other: Block) -> None:
        """Moves some rules to an empty block."""
        moved = 0
        terms: dict[Column[Any], list[tuple[int, Term]]] = {}
        for entry in entries:
            self._take(entry)
            other._put(entry, entry.slot)
            moved |= BITS[entry.slot]
            for column, term in zip(entry.columns, entry.terms, strict=True):
                terms.setdefault(column, []).append((entry.slot, term))
        for column, of_column in terms.items():
            share = other._shares[column] = column.share(other.number)
            column.move(self._shares[column], share, moved, of_column)
            if not self._shares[column].used:
                self._drop(column)

    def _put(self, entry: RuleEntry[Any], slot: int) -> None:
        bit = BITS[slot]
        entry.block, entry.slot = self, slot
        if slot >= len(self._entries):
            self._entries += [None] * (slot + 1 - len(self._entries))
        self._entries[slot] = entry
        self._live |= bit
        self.size += 1
        if entry.others:
            self._checked |= bit
        needs = entry.needs
        if not needs:
            self.undemanding |= bit
        for digit in range(needs.bit_length()):
            if digit == len(self._needs):
                self._needs.append(0)
            if needs >> digit & 1:
                self._needs[digit] |= bit
        for column in self._closed:
            column.open |= self.bit
        self._closed.clear()
        self._plans.clear()

    def _take(self, entry: RuleEntry[Any]) -> None:
        bit = BITS[entry.slot]
        self._entries[entry.slot] = None
        self._live ^= bit
        self.size -= 1
        self._checked &= ~bit
        self.undemanding &= ~bit
        self._needs = [slots & ~bit for slots in self._needs]
        self._plans.clear()

    def _drop(self, column: Column[Any]) -> None:
        column.drop(self._shares.pop(column))
        self._closed.discard(column)

    # ---- what matches

    def match(self, shape: Shape, document: object, matching: list[RuleEntry[Any]]) -> None:
        """Appends the rules that match a record; its columns have looked at it.

        Args:
            shape: of the record.
            document: the record, parsed.
        """
        plan = self._plans.get(shape) or self._plan(shape)
        number = self.number
        bits = plan.bits
        for column, passing in plan.columns:
            bits &= column.hits.get(number, 0) | passing
            if not bits:
                return
        for keys in plan.keys:
            if number in keys.misses:
                bits &= ~keys.misses[number]
        for ranges, share in plan.ranges:
            doubtful = ranges.doubts.get(number, 0) & bits
            if doubtful:
                bits = ranges.compare(share, bits, doubtful)
        entries = self._entries
        unsure = bits & self._checked
        bits ^= unsure
        while unsure:
            slot = unsure.bit_length()
            unsure ^= BITS[slot]
            entry = entries[slot]
            if entry.holds(document):
                matching.append(entry)
        while bits:
            slot = bits.bit_length()
            bits ^= BITS[slot]
            matching.append(entries[slot])

    def forget_shapes(self) -> None:
        """Forgets how records of shapes asked about so far are asked about."""
        self._plans.clear()

    def _plan(self, shape: Shape) -> _Plan:
        shares = self._shares
        if len(shape.columns) < len(shares):
            present = [(column, shares[column]) for column in shape.columns if column in shares]
        else:
            present = [(column, share) for column, share in shares.items() if column in shape.columns]
        plan = self._plans[shape] = _Plan(self._provided([share.needed for _, share in present]))
        for column, share in present:
            passing = self._live ^ share.wanted
            plan.columns.append((column, passing))
            if isinstance(column, KeyColumn):
                plan.keys.append(column)
            elif isinstance(column, RangeColumn) and isinstance(share, RangeShare):
                plan.ranges.append((column, share))
            if not passing and column not in self._closed:
                self._closed.add(column)
                column.open ^= self.bit
        plan.columns.sort(key=lambda asked: asked[1].bit_count())  # the rest is not asked once no slot is left
        if not plan.bits:
            shape.alive &= ~self.bit
        return plan

    def _provided(self, needed: list[int]) -> int:
        """The slots that are in as many of the sets as their rules need; counted in binary, for all slots at once."""
        counts = [0] * len(self._needs)
        for carry in needed:
            for digit, count in enumerate(counts):
                counts[digit], carry = count ^ carry, count & carry
                if not carry:
                    break
        bits = self._live
        for count, needs in zip(counts, self._needs, strict=True):
            bits &= ~(count ^ needs)
        return bits
