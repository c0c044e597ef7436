"""The paths that rules look at, as a tree, and what a record has there.

Used by `rule_index` on the reader's thread. A record is read level by level, along the known names or, where there are
many more of them, along its own: what a record costs grows neither with paths that it does not have, nor with members
that nobody asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from operator import itemgetter
from typing import Any

from filter_service import values
from filter_service.documents import MOST_NAMES, Documents
from filter_service.record import LARGEST_INTEGER, SMALLEST_INTEGER

Key = tuple[object, ...]
"""What tells records apart that have scalars at different paths, or of different kinds."""


_NUMBER, _TEXT, _TRUTH, _OBJECT, _ARRAY, _NULL = range(6)
"""Kinds of JSON values. Numbers are of one kind, so that `23` after `23.5` makes no other key."""

_kind = {
    float: _NUMBER,
    int: _NUMBER,
    str: _TEXT,
    bool: _TRUTH,
    dict: _OBJECT,
    list: _ARRAY,
    type(None): _NULL,
}.get
_SCALARS = (_NUMBER, _TEXT, _TRUTH)

Values = tuple[Sequence[Any], set[type]]
"""What many records have at one path, and which Python types these values have. Empty where none has anything."""

_MANY_MORE = 16
"""Names that may be looked up in vain rather than go through a record's own: that is quicker for each by so much."""


class Path:
    """A path and its columns, the cheapest first. Equal to itself only."""

    __slots__ = ("columns", "steps")

    def __init__(self, steps: tuple[str, ...]) -> None:
        self.steps = steps
        self.columns: list[Any] = []


class _Node:
    """A name below another."""

    __slots__ = ("elements", "inner", "members", "path")

    def __init__(self) -> None:
        self.members: dict[str, _Node] = {}
        self.elements: dict[int, _Node] = {}  # those of `members` that address an array element, by index
        self.inner = 0  # how many of `members` have members
        self.path: Path | None = None

    def known_of(self, container: Any) -> tuple[Sequence[Any], Sequence[_Node], Sequence[object]]:
        """Which known names or indexes to look up in an object or array, their nodes, and marks for its key."""
        is_object = type(container) is dict
        known: dict[Any, _Node] = self.members if is_object else self.elements
        if len(known) <= len(container) + _MANY_MORE:
            return list(known), list(known.values()), ()
        names = [name for name in (container if is_object else range(len(container))) if name in known]
        children = [known[name] for name in names]
        return names, children, (self, len(children), *children)

    def columns_of(
        self, containers: Sequence[Any], marks: list[object]
    ) -> Sequence[tuple[_Node, Sequence[Any]]] | None:
        """What many containers have under the known names, each with its node; nothing where none has anything.

        Args:
            containers: of one level of the records, at least one.
            marks: takes those of `known_of`.

        Returns:
            None when they are not all objects that have the same of the names.
        """
        if isinstance(containers, Documents):
            return [(child, containers.column(name)) for name, child in self.members.items()]
        if set(map(type, containers)) != {dict}:
            return None
        first: dict[str, Any] = containers[0]
        names, children, more = self.known_of(first)
        marks += more
        is_whole = len(names) == len(self.members) and all(map(first.__contains__, names))
        # None may have what the first one lacks.
        if not is_whole and len(set(map(tuple, containers))) > 1:
            return None
        try:
            return [
                (child, list(map(itemgetter(name), containers)) if name in first else ())
                for name, child in zip(names, children, strict=True)
            ]
        except KeyError:
            return None


def _has_too_large(numbers: Sequence[float]) -> bool:
    """Whether some integer should have become a float (`documents.read_members`)."""
    return max(numbers) > LARGEST_INTEGER or min(numbers) < SMALLEST_INTEGER


class PathTree:
    """Distinct paths."""

    def __init__(self) -> None:
        self._root = _Node()

    @property
    def names(self) -> tuple[str, ...]:
        """The members of records that some path begins with; of too many to be read alone, some."""
        return tuple(islice(self._root.members, MOST_NAMES + 1))

    def get(self, steps: tuple[str, ...]) -> Path:
        """The path with these steps, at least one; made when it is not there."""
        above, node = None, self._root
        for step in steps:
            child = node.members.get(step)
            if child is None:
                child = node.members[step] = _Node()
                if above is not None and len(node.members) == 1:
                    above.inner += 1
                index = values.element_index(step)
                if index is not None:
                    node.elements[index] = child
            above, node = node, child
        if node.path is None:
            node.path = Path(steps)
        return node.path

    def remove(self, path: Path) -> None:
        """Forgets a path that is there."""
        trail = [self._root]
        for step in path.steps:
            trail.append(trail[-1].members[step])
        trail.pop().path = None
        for step in reversed(path.steps):
            node = trail.pop()
            child = node.members[step]
            if child.members or child.path is not None:
                return
            del node.members[step]
            index = values.element_index(step)
            if index is not None:
                del node.elements[index]
            if trail and not node.members:
                trail[-1].inner -= 1

    def read(self, document: object) -> tuple[Key, list[Any]]:
        """What a document has at the known paths and on the way there.

        Args:
            document: a parsed JSON object or array.

        Returns:
            A key, and values. As long as no path comes or goes, documents with equal keys have scalars at the same
            paths, and at the same places among the values, which `places` tells.
        """
        root = self._root
        if type(document) is dict and not root.inner and len(root.members) <= len(document) + _MANY_MORE:
            found = list(map(document.get, root.members))
            return tuple(map(_kind, map(type, found))), found
        found, _, marks = self._walk(document)
        return (*map(_kind, map(type, found)), *marks), found

    def read_all(self, documents: Sequence[object]) -> tuple[Key, list[Values]] | None:
        """What documents that are alike have at the known paths and on the way there.

        Args:
            documents: parsed JSON objects or arrays, at least one.

        Returns:
            What `read` returns for each of them: the key that they have in common, and with each place the values of
            all. None when they are not alike, or have arrays on the way.
        """
        found: list[Values] = []
        kinds: list[object] = []
        marks: list[object] = []
        levels: list[tuple[_Node, Sequence[Any]]] = [(self._root, documents)]
        for node, containers in levels:  # grows meanwhile
            columns = node.columns_of(containers, marks)
            if columns is None:
                return None
            for child, column in columns:
                types = set(map(type, column))
                kind = set(map(_kind, types)) or {_NULL}
                if len(kind) > 1 or (int in types and isinstance(documents, Documents) and _has_too_large(column)):
                    return None
                found.append((column, types))
                kinds += kind
                if child.members and (kind == {_OBJECT} or kind == {_ARRAY}):
                    levels.append((child, column))
        return (*kinds, *marks), found

    def places(self, document: object) -> list[tuple[int, Path]]:
        """At which places among the values that `read` returns are scalars, and their paths.

        Null counts as missing, which is the same for every condition.
        """
        found, nodes, _ = self._walk(document)
        return [
            (index, node.path)
            for index, (node, value) in enumerate(zip(nodes, found, strict=True))
            if node.path is not None and _kind(type(value)) in _SCALARS
        ]

    def _walk(self, document: object) -> tuple[list[Any], list[_Node], list[object]]:
        """The values, their names' nodes, and marks that tell apart what has values of the same kinds elsewhere."""
        found: list[Any] = []
        nodes: list[_Node] = []
        marks: list[object] = [self._root] if type(document) is list else []
        levels: list[tuple[_Node, Any]] = [(self._root, document)]
        for node, container in levels:  # grows meanwhile
            names, children, more = node.known_of(container)
            marks += more
            if type(container) is dict:
                below = list(map(container.get, names))
            else:
                below = [container[index] if index < len(container) else None for index in names]
            if node.inner:
                for child, value in zip(children, below, strict=True):
                    if child.members and (type(value) is dict or type(value) is list):
                        levels.append((child, value))
            found += below
            nodes += children
        return found, nodes, marks
