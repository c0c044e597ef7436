"""Records of one shape and the rules that match them: column by column, for all of the records and all blocks at once.

Made by `rule_index` for some records, used once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import reduce
from itertools import compress, pairwise, repeat
from operator import and_, or_
from typing import Any

import numpy as np

from filter_service.matching.blocks import Block
from filter_service.matching.columns import Answers, Pairs
from filter_service.matching.entry import Found
from filter_service.matching.paths import Values
from filter_service.matching.sets import SLOTS, Numbers, Sets, members_of, not_empty, slots_of
from filter_service.matching.shape import Asked, Plan, Shape

_FEW_PAIRS = 12
"""Pairs of a group of records and a block that are asked one by one: for so few, numpy takes longer."""
_FEW_GROUPS = 16
"""Groups of records about which the same is said, from which on they are not looked for."""
_MANY_PAIRS = 64
"""Pairs from which on it is worth while to leave some out,"""
_MOSTLY = 0.75
"""if no more than this share of them may still match."""
_MOST_PAIRS = 2048
"""Pairs that are asked at once: each may have as many matches as a block has rules, which take 40 bytes each."""


class Lookup:
    """Some records of one shape.

    Args:
        shape: of the records.
        documents: the records, parsed.
        read: for each place, what they have there.
    """

    def __init__(self, shape: Shape, documents: Sequence[object], read: Sequence[Values]) -> None:
        self._shape = shape
        self._documents = documents
        self._read = read
        self._rows = np.arange(len(documents))  # places of the records that some block may match
        self._answers: list[Answers] = []  # for each of the shape's columns, about these records

    def match(self, blocks: Sequence[Block], found: Found[Any]) -> None:
        """Finds the rules that match.

        Args:
            blocks: all, by number.
            found: for each rule, the places of the records that it matches; is filled.
        """
        alive = self._look()
        concerned = reduce(or_, set(alive), 0)  # all of the blocks
        if not concerned:
            return
        for number in _numbers(concerned):
            if self._shape not in blocks[number].plans:
                blocks[number].plan(self._shape)
        groups = self._groups()
        if groups is not None and sum([alive[rows[0]].bit_count() for rows in groups]) <= _FEW_PAIRS:
            self._match_few(blocks, alive, groups, found)
        elif sum(map(int.bit_count, alive)) <= _MOST_PAIRS:
            self._match_many(blocks, alive, concerned, found)
        else:
            for some in _parts_of(concerned, max(1, _MOST_PAIRS // len(alive))):
                self._match_many(blocks, [left & some for left in alive], some, found)

    def _groups(self) -> Sequence[list[int]] | None:
        """Rows together about which all columns say the same; None when there are many groups, or may be."""
        if len(self._rows) == 1 or not self._is_exact():
            return [[row] for row in range(len(self._rows))] if len(self._rows) <= _FEW_PAIRS else None
        if not self._answers:
            return [list(range(len(self._rows)))]
        most = 1
        for answers in self._answers:
            most *= len(set(answers.told))
            if most > _FEW_GROUPS:
                return None
        groups: defaultdict[tuple[Hashable, ...], list[int]] = defaultdict(list)
        for row, told in enumerate(zip(*[answers.told for answers in self._answers], strict=True)):
            groups[told].append(row)
        return list(groups.values())

    def _look(self) -> list[int]:
        """Asks the columns about the records; those that no block can match are left out before the next column.

        Returns:
            For each of the others, the blocks.
        """
        alive = [self._shape.alive] * len(self._rows)
        for column, place in self._shape.columns.items():
            if not all(alive):
                self._narrow(alive)
                alive = list(filter(None, alive))
                if not alive:
                    break
            scalars, types = self._read[place]
            if len(self._rows) < len(scalars):
                scalars = [scalars[row] for row in self._rows.tolist()]
            answers = column.look_all(scalars, types)
            self._answers.append(answers)
            lenient = column.open & self._shape.alive
            if lenient != self._shape.alive:
                reach: Iterable[int] = answers.reach
                alive = list(map(and_, alive, map(or_, reach, repeat(lenient)) if lenient else reach))
        return alive

    def _narrow(self, alive: list[int]) -> None:
        """Leaves out the records for which no block is alive."""
        kept = np.array(list(compress(range(len(alive)), alive)), np.intp)
        self._rows = self._rows.take(kept)
        self._answers = [answers.narrowed(kept) for answers in self._answers]

    def _match_many(self, blocks: Sequence[Block], alive: list[int], concerned: int, found: Found[Any]) -> None:
        shape, pairs = self._shape, _pairs_of(alive, concerned)
        sets: Sets | None = None
        for answers, asked in zip(self._answers, shape.asked, strict=True):
            if not concerned & asked.blocks:
                continue
            if not concerned & ~asked.blocks:
                passing = self._passing(answers, asked, pairs, concerned)
                sets = passing if sets is None else np.bitwise_and(sets, passing, out=passing)
            else:
                asking = asked.is_asking.take(pairs.blocks).nonzero()[0]
                if sets is None:
                    sets = shape.provided.take(pairs.blocks, axis=0)
                sets[asking] &= self._passing(answers, asked, pairs.take(asking), concerned)
            if len(sets) > _MANY_PAIRS:
                left = not_empty(sets)
                if len(left) < _MOSTLY * len(sets):
                    sets, pairs = sets.take(left, axis=0), pairs.take(left)
        if sets is None or concerned & shape.lacking:
            provided = shape.provided.take(pairs.blocks, axis=0)
            sets = provided if sets is None else sets & provided
        places, slots = members_of(sets)
        pairs = pairs.take(places)
        for answers in self._answers:
            if not answers.is_exact:
                held = answers.held(pairs, slots).nonzero()[0]
                slots, pairs = slots.take(held), pairs.take(held)
        if len(slots):
            self._note(blocks, pairs, slots, found)
            if concerned & shape.checked:
                self._check(found)

    def _passing(self, answers: Answers, asked: Asked, pairs: Pairs, concerned: int) -> Sets:
        """Slots that pass as far as a column is asked."""
        passing = answers.hits(pairs)
        if concerned & asked.lenient:
            passing |= asked.passing.take(pairs.blocks, axis=0)
        if concerned & asked.refusing:
            places, misses = answers.misses(pairs)
            passing[places] &= ~misses
        return passing

    def _note(self, blocks: Sequence[Block], pairs: Pairs, slots: Numbers, found: Found[Any]) -> None:
        """Sorts what matches by rules: these lie all over the memory, and each is touched once."""
        rules = pairs.blocks * SLOTS + slots
        order = (rules * len(self._rows) + pairs.rows).argsort()
        rules = rules.take(order)
        rows = self._rows.take(pairs.rows.take(order)).tolist()
        begins = [0, *((rules[1:] != rules[:-1]).nonzero()[0] + 1).tolist(), len(rows)]
        entries = [blocks[rule // SLOTS].rules[rule % SLOTS] for rule in rules.take(begins[:-1]).tolist()]
        found.update(zip(entries, [rows[begin:end] for begin, end in pairwise(begins)], strict=True))

    def _check(self, found: Found[Any]) -> None:
        """Looks at the conditions that no column looks up."""
        for entry in [entry for entry in found if entry.others]:
            rows = [row for row in found[entry] if entry.holds(self._documents[row])]
            if rows:
                found[entry] = rows
            else:
                del found[entry]

    def _match_few(
        self, blocks: Sequence[Block], alive: list[int], groups: Sequence[list[int]], found: Found[Any]
    ) -> None:
        """Asks for one row of each group."""
        places = self._rows.tolist()
        is_exact = self._is_exact()
        matching: Found[Any] = defaultdict(list)
        for rows in groups:
            row = rows[0]
            for number in _numbers(alive[row]):
                block = blocks[number]
                plan = block.plans[self._shape]
                slots = plan.slots
                for column, share, passing in plan.asked:
                    slots &= self._answers[column].hit(share, row) | passing
                    if share.refusing:
                        slots &= ~self._answers[column].missed(share, row)
                    if not slots:
                        break
                for slot in slots_of(slots) if slots else ():
                    if is_exact or self._holds(plan, row, slot):
                        matching[block.rules[slot]] += [places[each] for each in rows]
        for entry, some in matching.items():
            some.sort()
            held = [place for place in some if entry.holds(self._documents[place])] if entry.others else some
            if held:
                found[entry] = held

    def _is_exact(self) -> bool:
        return all([answers.is_exact for answers in self._answers])  # noqa: C419 - a list is quicker

    def _holds(self, plan: Plan, row: int, slot: int) -> bool:
        """Whether a slot of a block really passes for a row."""
        for column, share, _ in plan.asked:
            answers = self._answers[column]
            if not answers.is_exact and not answers.holds(share, row, slot):
                return False
        return True


def _pairs_of(alive: Sequence[int], concerned: int) -> Pairs:
    """Each record with each of its blocks.

    Args:
        alive: for each row, the blocks.
        concerned: all of these.
    """
    if not concerned & (concerned - 1):
        rows = np.array(list(compress(range(len(alive)), alive)))
        return Pairs(rows, np.full(len(rows), concerned.bit_length()))
    octets = concerned.bit_length() // 8 + 1
    bits = np.frombuffer(b"".join([blocks.to_bytes(octets, "little") for blocks in alive]), np.uint8)
    rows, numbers = np.unpackbits(bits.reshape(-1, octets), axis=1, bitorder="little").view(np.bool_).nonzero()
    return Pairs(rows, numbers + 1)


def _numbers(blocks: int) -> Iterator[int]:
    """Numbers of the blocks in a set."""
    while blocks:
        number = blocks.bit_length()
        yield number
        blocks ^= 1 << number >> 1


def _parts_of(blocks: int, size: int) -> Iterator[int]:
    """Cuts a set of blocks into sets of so many."""
    numbers = list(_numbers(blocks))
    for begin in range(0, len(numbers), size):
        yield sum([1 << number >> 1 for number in numbers[begin : begin + size]])
