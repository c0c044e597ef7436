"""Groups of rules that are answered together, one bit per rule: who is in them, and what must be asked for them.

Made and filled by `placement`; `lookup` asks.
"""

from __future__ import annotations

from typing import Any

from filter_service.matching.columns import Column, Share
from filter_service.matching.entry import RuleEntry
from filter_service.matching.sets import BITS
from filter_service.matching.shape import Plan, Shape
from filter_service.matching.terms import Term


class Block:
    """Up to `SLOTS` rules.

    Attributes:
        number: of the block, from 1 on.
        bit: the set that holds the block alone.
        size: how many rules there are.
        undemanding: the slots of rules that no missing path keeps from matching.
        rules: the one in each slot, or None.
        plans: how records of shapes are asked about, as far as `plan` has told since the last change.
    """

    __slots__ = (
        "_checked",
        "_closed",
        "_live",
        "_needs",
        "_shares",
        "bit",
        "number",
        "plans",
        "rules",
        "size",
        "undemanding",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.bit = 1 << number >> 1
        self.size = 0
        self.undemanding = 0
        self.plans: dict[Shape, Plan] = {}
        self._checked = 0  # rules with conditions that no column looks up
        self._live = 0  # slots in use
        self.rules: list[Any] = []
        self._shares: dict[Column[Any], Share] = {}
        self._needs: list[int] = []  # in binary, for each slot, how many columns need a value; by digit
        self._closed: set[Column[Any]] = set()  # columns in whose `open` the block is not

    # ---- what is there

    def entries(self) -> list[RuleEntry[Any]]:
        """The rules."""
        return list(filter(None, self.rules))

    def add(self, entry: RuleEntry[Any]) -> None:
        """Takes a rule in; there must be room."""
        slot = (~self._live & (self._live + 1)).bit_length() - 1
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
        if slot >= len(self.rules):
            self.rules += [None] * (slot + 1 - len(self.rules))
        self.rules[slot] = entry
        self._live |= bit
        self.size += 1
        self._checked += bool(entry.others)
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
        self.plans.clear()

    def _take(self, entry: RuleEntry[Any]) -> None:
        bit = BITS[entry.slot]
        self.rules[entry.slot] = None
        self._live ^= bit
        self.size -= 1
        self._checked -= bool(entry.others)
        self.undemanding &= ~bit
        self._needs = [slots & ~bit for slots in self._needs]
        self.plans.clear()

    def _drop(self, column: Column[Any]) -> None:
        column.drop(self._shares.pop(column))
        self._closed.discard(column)

    # ---- how it is asked

    def plan(self, shape: Shape) -> None:
        """Tells a shape how to ask for what matches such records; again whenever `plans` lacks it."""
        shares = self._shares
        present = [(number, column, shares[column]) for number, column in enumerate(shape.columns) if column in shares]
        asked = []
        for number, column, share in present:
            passing = self._live ^ share.wanted
            asked.append((number, share, passing))
            if not passing and column not in self._closed:
                self._closed.add(column)
                column.open ^= self.bit
        slots = self._provided([share.needed for _, _, share in present])
        plan = self.plans[shape] = Plan(slots, asked, is_whole=slots == self._live, is_checked=bool(self._checked))
        shape.take(self.number, plan)
        if not plan.slots:
            shape.alive &= ~self.bit

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
