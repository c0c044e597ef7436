"""Groups of rules that are answered together: an AND over what the columns know of a block gives its matches.

Made and filled by `placement`, asked by `rule_index`, on the reader's thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Any

from filter_service.matching.columns import BITS, Answer, Column, Share
from filter_service.matching.entry import Found, RuleEntry
from filter_service.matching.keys import KeyShare
from filter_service.matching.paths import Path, Values
from filter_service.matching.ranges import RangeShare, doubts_that_fail
from filter_service.matching.terms import Term


class Shape:
    """Records that have the same of the known paths.

    Attributes:
        columns: those of the paths, the cheapest first: once no block is left, the others need not look a record up.
            With each, the place of its value among those read from a record.
        alive: the blocks in which some rule may match such records.
        version: of the index, for which `alive` holds.
    """

    __slots__ = ("alive", "columns", "version")

    def __init__(self, places: list[tuple[int, Path]]) -> None:
        """Takes what `PathTree.places` found."""
        columns = [(column, place) for place, path in places for column in path.columns]
        self.columns = dict(sorted(columns, key=lambda each: each[0].cost))
        self.alive = 0
        self.version = -1


class Looked:
    """Records of one shape, and what the columns say about them.

    Attributes:
        shape: of the records.
        documents: records, parsed.
        read: for each place, what they have there.
        rows: those of the records that some block may match, by their places among `documents`.
        answers: for each of the shape's columns, what it says about each of the rows.
    """

    __slots__ = ("answers", "documents", "read", "rows", "shape")

    def __init__(self, shape: Shape, documents: Sequence[object], read: Sequence[Values]) -> None:
        self.shape = shape
        self.documents = documents
        self.read = read
        self.rows: Sequence[int] = range(len(documents))
        self.answers: list[list[Answer]] = []

    def narrow(self, alive: list[int]) -> None:
        """Leaves out the rows for which nothing is alive."""
        self.rows = list(compress(self.rows, alive))
        self.answers = [list(compress(each, alive)) for each in self.answers]


class _Plan:
    """How a block is asked about records of one shape. A column is the number of one of the shape's.

    Attributes:
        bits: the slots whose rules need no path that such records lack.
        passing: the columns to ask, and the slots that pass whatever hits.
        missing: those whose keys may make slots fail.
        ranges: those of ranges, with the block's share and the place of the values.
    """

    __slots__ = ("bits", "missing", "passing", "ranges")

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.passing: list[tuple[int, int]] = []
        self.missing: list[int] = []
        self.ranges: list[tuple[int, RangeShare, int]] = []


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

    def match(self, looked: Looked, which: list[int], found: Found[Any]) -> None:
        """Notes the records that some rule matches.

        Args:
            looked: records.
            which: numbers of the rows that the block concerns.
            found: for each rule, the rows that it matches.
        """
        plan = self._plans.get(looked.shape) or self._plan(looked.shape)
        number, answers = self.number, looked.answers
        bits = [plan.bits] * len(which)
        for column, passing in plan.passing:
            given = answers[column]
            if passing:
                bits = [
                    left & (given[each].hits.get(number, 0) | passing) for left, each in zip(bits, which, strict=True)
                ]
            else:
                bits = [left & given[each].hits.get(number, 0) for left, each in zip(bits, which, strict=True)]
            if not all(bits):
                which = list(compress(which, bits))
                if not which:
                    return
                bits = list(filter(None, bits))
        for column in plan.missing:
            given = answers[column]
            bits = [left & ~given[each].misses.get(number, 0) for left, each in zip(bits, which, strict=True)]
        for column, share, place in plan.ranges:
            given = answers[column]
            doubtful = [left & given[each].doubts.get(number, 0) for left, each in zip(bits, which, strict=True)]
            if any(doubtful):
                values = looked.read[place][0]
                bits = [
                    left ^ doubts_that_fail(share, values[looked.rows[each]], doubts) if doubts else left
                    for left, doubts, each in zip(bits, doubtful, which, strict=True)
                ]
        # By slots first: entries lie all over the memory, and each is touched once.
        entries, checked, rows = self._entries, self._checked, looked.rows
        by_slot: dict[int, list[int]] = {}
        for left, each in zip(bits, which, strict=True):
            row = rows[each]
            unsure = left & checked
            while unsure:
                slot = unsure.bit_length()
                unsure ^= BITS[slot]
                if not entries[slot].holds(looked.documents[row]):
                    left ^= BITS[slot]
            while left:
                slot = left.bit_length()
                left ^= BITS[slot]
                if slot in by_slot:
                    by_slot[slot].append(row)
                else:
                    by_slot[slot] = [row]
        for slot, matching in by_slot.items():
            found[entries[slot]] = matching

    def forget_shapes(self) -> None:
        """Forgets how records of shapes asked about so far are asked about."""
        self._plans.clear()

    def _plan(self, shape: Shape) -> _Plan:
        shares = self._shares
        present = [(number, column, shares[column]) for number, column in enumerate(shape.columns) if column in shares]
        plan = self._plans[shape] = _Plan(self._provided([share.needed for _, _, share in present]))
        places = list(shape.columns.values())
        for number, column, share in present:
            passing = self._live ^ share.wanted
            plan.passing.append((number, passing))
            if isinstance(share, KeyShare) and share.unwanting:
                plan.missing.append(number)
            elif isinstance(share, RangeShare):
                plan.ranges.append((number, share, places[number]))
            if not passing and column not in self._closed:
                self._closed.add(column)
                column.open ^= self.bit
        plan.passing.sort(key=lambda asked: asked[1].bit_count())  # the rest is not asked once no slot is left
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
