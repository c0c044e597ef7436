"""Which rules match a record.

One index per topic and reader, used by that reader's thread only; it changes between batches, never during one. Equal
rules are one rule. A record is looked up once per path that it has and some rule looks at, in what the rules demand
there (`columns`); what this says of groups of rules (`blocks`) is ANDed, one bit per rule. Records that are alike, as
those of a topic mostly are, are looked up together (`lookup`).

    rule ──terms──▶ what it demands per path ──placement──▶ a slot in a block
    records ──paths──▶ their scalars ──columns──▶ which slots pass ──lookup──▶ the rules that match

What a record costs grows with its members, with the blocks it concerns and with the rules that match, and hardly with
the rules that are there; a rule comes and goes in some 20 to 200 µs. `make bench ONLY=matching` measures both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from filter_service.language import Rule
from filter_service.matching.columns import Column
from filter_service.matching.entry import Found, RuleEntry
from filter_service.matching.keys import NumberColumn, TextColumn
from filter_service.matching.lookup import Lookup
from filter_service.matching.paths import Key, PathTree, Values
from filter_service.matching.placement import Placement
from filter_service.matching.ranges import RangeColumn
from filter_service.matching.shape import Shape
from filter_service.matching.terms import Keys, Range, Steps, Term, Truth, terms_of
from filter_service.matching.truths import TruthColumn

M = TypeVar("M")

_MOST_SHAPES = 256
"""Shapes of records that are remembered. The records of a topic mostly have a handful."""


class RuleIndex(Generic[M]):
    """The rules of one topic."""

    def __init__(self) -> None:
        self._entries: dict[Rule, RuleEntry[M]] = {}
        self._unconditional: list[RuleEntry[M]] = []
        self._tree = PathTree()
        self._columns: dict[tuple[Steps, type[Column[Any]]], Column[Any]] = {}
        self._placement = Placement()
        self._shapes: dict[Key, Shape] = {}
        self._version = 0  # grows with every change

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def names(self) -> tuple[str, ...]:
        """The members of records, by name, that rules look at or into: what `match_all` needs of most records."""
        return self._tree.names

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
        """The entries whose rule matches a record, in any order.

        Args:
            document: a parsed JSON object or array.
        """
        return list(self.match_all((document,)))

    def match_all(self, documents: Sequence[object]) -> Mapping[RuleEntry[M], list[int]]:
        """The entries whose rule matches any of many records, and which: their places among these, increasing.

        Records that are alike take a fraction of the time that each by itself does.

        Args:
            documents: parsed JSON objects or arrays, or `Documents` with the columns of `names`.
        """
        found: Found[M] = defaultdict(list)
        if not documents:
            return found
        for entry in self._unconditional:
            found[entry] = list(range(len(documents)))
        if self._columns:
            alike = self._tree.read_all(documents) if len(documents) > 1 else None
            if alike is not None:
                self._match_alike(documents, *alike, found)
            else:
                self._match_unlike(documents, found)
        return found

    def _match_unlike(self, documents: Sequence[object], found: Found[M]) -> None:
        """Matches together what is alike.

        Args:
            documents: records, at least one.
            found: is filled.
        """
        groups: defaultdict[Key, list[int]] = defaultdict(list)
        read: list[list[Any]] = []
        for row, document in enumerate(documents):
            key, scalars = self._tree.read(document)
            groups[key].append(row)
            read.append(scalars)
        for key, rows in groups.items():
            columns = zip(*[read[row] for row in rows], strict=True)
            values = [(column, set(map(type, column))) for column in columns]
            if len(groups) == 1:
                self._match_alike(documents, key, values, found)
                return
            part: Found[M] = defaultdict(list)
            self._match_alike([documents[row] for row in rows], key, values, part)
            for entry, places in part.items():
                found[entry] += [rows[place] for place in places]
        for rows in found.values():
            rows.sort()

    def _match_alike(self, documents: Sequence[object], key: Key, read: Sequence[Values], found: Found[M]) -> None:
        """Matches records that are alike, all at once.

        Args:
            documents: records that are alike.
            key, read: what `PathTree.read_all` says of them.
            found: is filled.
        """
        Lookup(self._shape(key, documents[0]), documents, read).match(self._placement.blocks, found)

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
        entry.columns = tuple([self._column_for(term) for term in entry.terms])
        entry.needs = sum([term.demanding for term in entry.terms])
        self._placement.add(entry)
        self._version += 1

    def _remove(self, entry: RuleEntry[M]) -> None:
        if not entry.rule.conditions:
            self._unconditional.remove(entry)
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
                return self._column(term.path, RangeColumn)

    def _column(self, steps: Steps, kind: type[Column[Any]]) -> Column[Any]:
        column = self._columns.get((steps, kind))
        if column is None:
            path = self._tree.get(steps)
            column = self._columns[steps, kind] = kind(path)
            path.columns.append(column)
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

    def _shape(self, key: Key, document: object) -> Shape:
        """The shape of a record with a key."""
        shape = self._shapes.get(key)
        if shape is None:
            if len(self._shapes) >= _MOST_SHAPES:
                self._forget_shapes()
            shape = self._shapes[key] = Shape(self._tree.places(document))
        if shape.version != self._version:
            self._revive(shape)
        return shape

    def _forget_shapes(self) -> None:
        self._shapes.clear()
        for block in self._placement.blocks:
            block.plans.clear()

    def _revive(self, shape: Shape) -> None:
        """Finds out which blocks concern records of a shape."""
        alive = self._placement.undemanding
        for column in shape.columns:
            alive |= column.blocks
        shape.alive = alive
        shape.version = self._version
