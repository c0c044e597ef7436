"""Which block takes a rule: rules that match the same records go together, so that most records concern few blocks.

Rules are ordered by key, which says what their likeliest-to-fail terms look for; each block has a stretch of that
order. A full block gives half of its rules to a new one; one that is nearly empty gives them to its neighbour.

Used by `rule_index` on the reader's thread.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from filter_service.matching.blocks import Block
from filter_service.matching.entry import RuleEntry
from filter_service.matching.sets import SLOTS

_SAMPLE = 64
"""Keys that are sorted to find the middle of a block."""
_SCARCELY_USED = SLOTS // 16
"""Rules of a block that moves into its neighbour if that is at most half full."""

Key = tuple[int | float | str, ...]


class Placement:
    """The blocks.

    Attributes:
        blocks: by number. Blocks that are not in use, as the one with number 0, are empty.
        undemanding: the blocks with rules that no missing path keeps from matching.
    """

    def __init__(self) -> None:
        first = Block(1)
        self.blocks = [Block(0), first]
        self._unused: list[int] = []  # numbers of blocks
        self.undemanding = 0
        self._order = [first]
        self._starts: list[Key] = [()]  # of each block's stretch

    def add(self, entry: RuleEntry[Any]) -> None:
        """Puts a rule with terms into a block."""
        key = entry.key = _key(entry)
        index = bisect_right(self._starts, key) - 1
        if self._order[index].size == SLOTS:
            self._split(index)
            index = bisect_right(self._starts, key) - 1
        self._order[index].add(entry)
        self._note(self._order[index])

    def remove(self, entry: RuleEntry[Any]) -> None:
        """Puts a rule out of its block."""
        block = entry.block
        if block is None:
            raise KeyError(f"no block holds the rule {entry.rule.canonical}")
        block.remove(entry)
        # At sizes that halve, so that a neighbour that is full is not asked again and again.
        if block.size <= _SCARCELY_USED and not block.size & (block.size - 1) and len(self._order) > 1:
            self._dissolve(block)
        self._note(block)

    def _note(self, block: Block) -> None:
        if block.undemanding:
            self.undemanding |= block.bit
        else:
            self.undemanding &= ~block.bit

    def _split(self, index: int) -> None:
        """Moves the upper half of a full block to a new one."""
        block = self._order[index]
        entries = block.entries()
        start = _middle([entry.key for entry in entries[:: max(1, SLOTS // _SAMPLE)]])
        upper = [entry for entry in entries if entry.key >= start]
        if len(upper) == len(entries):  # many keys are equal
            upper = [entry for entry in entries if entry.key > start] or entries[SLOTS // 2 :]
            start = min(entry.key for entry in upper)
        if self._unused:
            number = self._unused.pop()
        else:
            number = len(self.blocks)
            self.blocks.append(block)
        new = self.blocks[number] = Block(number)
        self._order.insert(index + 1, new)
        self._starts.insert(index + 1, start)
        block.move(upper, new)
        self._note(block)
        self._note(new)

    def _dissolve(self, block: Block) -> None:
        """Moves the rules of a block to its neighbour, if that has room, and gives the block up."""
        index = self._order.index(block)
        neighbour = self._order[index - 1 if index else 1]
        if block.size and neighbour.size > SLOTS // 2:
            return
        for entry in block.entries():
            block.remove(entry)
            neighbour.add(entry)
        self._note(neighbour)
        del self._order[index], self._starts[index]
        self._starts[0] = ()
        self._unused.append(block.number)


def _middle(keys: list[Key]) -> Key:
    """A key in the middle of others, preferably the first of a column: a block for one column concerns less records."""
    keys.sort()
    middle = len(keys) // 2
    for distance in range(len(keys) // 3):
        for index in (middle + distance, middle - distance):
            if keys[index][0] != keys[index - 1][0]:
                return keys[index][:1]
    return keys[middle]


def _key(entry: RuleEntry[Any]) -> Key:
    """The two terms that the fewest records pass, and where they are in their columns."""
    terms = zip(entry.columns, entry.terms, strict=True)
    likely = sorted([(column.likelihood(term), column.serial, column, term) for column, term in terms])[:2]
    key: Key = ()
    for _, serial, column, term in likely:
        key += (serial, column.place(term))
    return key
