"""Which rules match a record.

One index per topic and reader, used by that reader's thread only; it changes between batches, never during one. Equal
rules are one rule. A record is looked up once per path that it has and some rule looks at, in what the rules demand
there (`columns`); what this says of groups of rules (`blocks`) is ANDed, one bit per rule.

A few rules are asked one by one (`predicate`), which is quicker than any index.

    rule ──terms──▶ what it demands per path ──placement──▶ a slot in a block
    record ──paths──▶ its scalars ──columns──▶ which slots pass ──blocks──▶ the rules that match

What a record costs grows with its members, with the blocks it concerns and with the rules that match, and hardly with
the rules that are there; a rule comes and goes in some 20 to 200 µs. `tests/benchmarks/matching.py` measures both.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from filter_service.language import Rule
from filter_service.matching.blocks import Shape
from filter_service.matching.columns import Column
from filter_service.matching.entry import RuleEntry
from filter_service.matching.keys import NumberColumn, TextColumn
from filter_service.matching.paths import Key, PathTree
from filter_service.matching.placement import Placement
from filter_service.matching.predicate import predicate_of
from filter_service.matching.ranges import RangeColumn, WideRangeColumn
from filter_service.matching.terms import Keys, Range, Steps, Term, Truth, terms_of
from filter_service.matching.truths import TruthColumn

M = TypeVar("M")

_MOST_SHAPES = 256
"""Shapes of records that are remembered. The records of a topic mostly have a handful."""

_FEW = 4
"""Rules with conditions that are asked one by one. One takes about 0.5 µs, the columns at least 2.5."""

_CHEAPEST_FIRST = (TruthColumn, NumberColumn, RangeColumn, WideRangeColumn, TextColumn)
"""Once no block is left, no other column need look a record up."""


class RuleIndex(Generic[M]):
    """The rules of one topic."""

    def __init__(self) -> None:
        self._entries: dict[Rule, RuleEntry[M]] = {}
        self._unconditional: list[RuleEntry[M]] = []
        self._few: list[RuleEntry[M]] = []  # asked one by one; all of them, or none
        self._tree = PathTree()
        self._columns: dict[tuple[Steps, type[Column[Any]]], Column[Any]] = {}
        self._placement = Placement()
        self._shapes: dict[Key, Shape] = {}
        self._version = 0  # grows with every change

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, rule: Rule, member: M) -> None:
        """Delivers what `rule` matches to `member` too."""
        entry = self._entries.get(rule)
        if entry is None:
            entry = self._entries[rule] = RuleEntry(rule)
            self._add(entry)
        entry.members[member] = None

    def remove(self, rule: Rule, member: M) -> None:
        """Undoes `add`.

        Raises:
            KeyError: the member was not added with this rule.
        """
        entry = self._entries[rule]
        del entry.members[member]
        if not entry.members:
            del self._entries[rule]
            self._remove(entry)

    def match(self, document: object) -> list[RuleEntry[M]]:
        """The entries whose rule matches, in any order; not to be changed.

        Args:
            document: a parsed JSON object or array.
        """
        if not self._columns:
            matching = self._unconditional
            for entry in self._few:
                if entry.predicate(document):
                    matching = [*matching, entry]
            return matching
        key, found = self._tree.read(document)
        shape = self._shapes.get(key) or self._new_shape(key, document)
        if shape.version != self._version:
            self._revive(shape)
        alive = shape.alive
        for place, look in shape.looks:
            alive &= look(found[place])
            if not alive:
                return self._unconditional
        matching = self._unconditional.copy()
        blocks = self._placement.blocks
        while alive:
            block = blocks[alive.bit_length()]
            alive ^= block.bit
            block.match(shape, document, matching)
        return matching

    # ---- changes

    def _add(self, entry: RuleEntry[M]) -> None:
        if not entry.rule.conditions:
            self._unconditional.append(entry)
            return
        terms = terms_of(entry.rule)
        if terms is None:  # it matches nothing
            return
        entry.others = terms.others
        entry.terms = terms.indexed
        if not self._columns and len(self._few) < _FEW:
            entry.predicate = predicate_of(terms)
            self._few.append(entry)
            return
        few, self._few = self._few, []
        for each in (*few, entry):
            self._place(each)

    def _place(self, entry: RuleEntry[M]) -> None:
        """Puts a rule into the columns."""
        entry.columns = tuple([self._column_for(term) for term in entry.terms])
        entry.needs = sum([term.demanding for term in entry.terms])
        self._placement.add(entry)
        self._version += 1

    def _remove(self, entry: RuleEntry[M]) -> None:
        if not entry.rule.conditions:
            self._unconditional.remove(entry)
            return
        if entry in self._few:
            self._few.remove(entry)
            return
        if entry.block is None:
            return
        self._placement.remove(entry)
        for column in entry.columns:
            if not column.terms:
                self._drop(column)
        self._version += 1

    def _column_for(self, term: Term) -> Column[Any]:
        match term:
            case Truth():
                return self._column(term.path, TruthColumn)
            case Keys():
                return self._column(term.path, TextColumn if term.texts else NumberColumn)
            case Range():
                narrow = self._columns.get((term.path, RangeColumn))
                wide = narrow.is_wide(term) if isinstance(narrow, RangeColumn) else not term.is_bounded
                return self._column(term.path, WideRangeColumn if wide else RangeColumn)

    def _column(self, steps: Steps, kind: type[Column[Any]]) -> Column[Any]:
        column = self._columns.get((steps, kind))
        if column is None:
            path = self._tree.get(steps)
            column = self._columns[steps, kind] = kind(path)
            path.columns.append(column)
            path.columns.sort(key=lambda column: _CHEAPEST_FIRST.index(type(column)))
            self._forget_shapes()
        return column

    def _drop(self, column: Column[Any]) -> None:
        path = column.path
        del self._columns[path.steps, type(column)]
        path.columns.remove(column)
        if not path.columns:
            self._tree.remove(path)
        self._forget_shapes()

    # ---- shapes

    def _new_shape(self, key: Key, document: object) -> Shape:
        if len(self._shapes) >= _MOST_SHAPES:
            self._forget_shapes()
        shape = self._shapes[key] = Shape(self._tree.places(document))
        return shape

    def _forget_shapes(self) -> None:
        self._shapes.clear()
        for block in self._placement.blocks:
            block.forget_shapes()

    def _revive(self, shape: Shape) -> None:
        """Finds out which blocks concern records of a shape."""
        alive = self._placement.undemanding
        for column in shape.columns:
            alive |= column.blocks
        shape.alive = alive
        shape.version = self._version
