"""What records are like that have values at the same of the known paths, and how blocks are asked about them.

Made by `rule_index`; `blocks` tell them how they want to be asked, and `lookup` asks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from filter_service.matching.columns import Column, Share
from filter_service.matching.paths import Path
from filter_service.matching.sets import grown, no_sets, words_of


class Plan:
    """How one block is asked about records of one shape.

    Attributes:
        slots: those whose rules need no path that such records lack.
        is_whole: whether these are all that are in use.
        is_checked: whether there are rules with conditions that no column looks up.
        asked: the columns to ask, by number, with the block's share of each and the slots that pass whatever it finds;
            those first that let the fewest pass.
    """

    __slots__ = ("asked", "is_checked", "is_whole", "slots")

    def __init__(self, slots: int, asked: list[tuple[int, Share, int]], *, is_whole: bool, is_checked: bool) -> None:
        self.slots = slots
        self.asked = sorted(asked, key=lambda each: each[2].bit_count())
        self.is_whole = is_whole
        self.is_checked = is_checked


class Asked:
    """What there is to ask one column, for all blocks.

    Attributes:
        blocks: those that ask it.
        lenient: those in which slots pass whatever it finds.
        refusing: those in which slots may fail whatever else is true.
        is_asking: for each block, by number, whether it asks.
        passing: for each block that asks, the slots that pass whatever it finds.
    """

    __slots__ = ("blocks", "is_asking", "lenient", "passing", "refusing")

    def __init__(self) -> None:
        self.blocks = 0
        self.lenient = 0
        self.refusing = 0
        self.is_asking = np.zeros(1, np.bool_)
        self.passing = no_sets(1)


class Shape:
    """Records that have the same of the known paths.

    Attributes:
        columns: those of the paths, the cheapest first: once no block is left, the others need not look a record up.
            With each, the place of its value among those read from a record.
        alive: the blocks in which some rule may match such records.
        version: of the index, for which `alive` holds.
        provided: for each block, by number, `Plan.slots`.
        lacking: blocks of which the records lack something.
        checked: blocks with rules of which not all conditions are looked up.
        asked: for each of the columns, what there is to ask.
    """

    __slots__ = ("alive", "asked", "checked", "columns", "lacking", "provided", "version")

    def __init__(self, places: list[tuple[int, Path]]) -> None:
        """Takes what `PathTree.places` found."""
        columns: list[tuple[Column[Any], int]] = [(column, place) for place, path in places for column in path.columns]
        self.columns = dict(sorted(columns, key=lambda each: each[0].cost))
        self.alive = 0
        self.version = -1
        self.provided = no_sets(1)
        self.lacking = 0
        self.checked = 0
        self.asked = [Asked() for _ in columns]

    def take(self, number: int, plan: Plan) -> None:
        """Notes how a block is asked."""
        if number >= len(self.provided):
            length = 2 * number
            self.provided = grown(self.provided, length)
            for asked in self.asked:
                asked.is_asking = grown(asked.is_asking, length)
                asked.passing = grown(asked.passing, length)
        bit = 1 << number >> 1
        self.provided[number] = words_of(plan.slots)
        self.lacking = _put(self.lacking, bit, not plan.is_whole)
        self.checked = _put(self.checked, bit, plan.is_checked)
        for asked in self.asked:
            asked.blocks &= ~bit
            asked.is_asking[number] = False
        for column, share, passing in plan.asked:
            asked = self.asked[column]
            asked.blocks |= bit
            asked.is_asking[number] = True
            asked.lenient = _put(asked.lenient, bit, bool(passing))
            asked.refusing = _put(asked.refusing, bit, bool(share.refusing))
            asked.passing[number] = words_of(passing)


def _put(blocks: int, bit: int, is_there: bool) -> int:
    return blocks | bit if is_there else blocks & ~bit
