"""The paths that rules look at, as a tree, and what a record has there.

Used by `rule_index` on the reader's thread. A record is read level by level, along the known names or, where there are
many more of them, along its own: what a record costs grows neither with paths that it does not have, nor with members
that nobody asks for.
"""

from __future__ import annotations

from typing import Any

from filter_service import values

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


class PathTree:
    """Distinct paths."""

    def __init__(self) -> None:
        self._root = _Node()

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
            if type(container) is dict:
                known: dict[Any, _Node] = node.members
                few = len(known) <= len(container) + _MANY_MORE
                names = known if few else [name for name in container if name in known]
                below = list(map(container.get, names))
            else:
                known = node.elements
                length = len(container)
                few = len(known) <= length + _MANY_MORE
                names = known if few else [index for index in range(length) if index in known]
                below = [container[index] if index < length else None for index in names]
            children = list(known.values()) if few else [known[name] for name in names]
            if not few:
                marks += (node, len(children), *children)
            if node.inner:
                for child, value in zip(children, below, strict=True):
                    if child.members and (type(value) is dict or type(value) is list):
                        levels.append((child, value))
            found += below
            nodes += children
        return found, nodes, marks
