"""Cuts records down to what a subscription selected.

One projection serves every subscription with an equal selection; the readers apply it on their threads, once per
record. Hashable, and what it says never changes: readers group subscriptions by it. The rules are those of behaviour,
sections 6 and 7; scalars below a sub-selection are dropped, `null`, `0`, `false` and `""` like any other.
"""

from __future__ import annotations

import json
from typing import Any, Final

import orjson

from filter_service.language import WILDCARD, Members, Selection
from filter_service.overlap import UNSELECTED, Names, Overlap, Overlaps
from filter_service.record import Digits, Record

_NOTHING: Final = object()
"""What is left of a value of which nothing was selected."""


class Projection:
    """A selection, carried out.

    Args:
        selection: what is kept of each record.
    """

    __slots__ = ("_names", "_overlaps", "selection")

    def __init__(self, selection: Selection) -> None:
        """Prepares the selection for looking names up."""
        self.selection = selection
        self._names = _by_name(selection.members)
        self._overlaps = Overlaps(self._names) if _has_wildcard(self._names) else None

    def __eq__(self, other: object) -> bool:
        """Projections are equal when their selections are."""
        return isinstance(other, Projection) and self.selection == other.selection

    def __hash__(self) -> int:
        """Equal projections have equal hashes."""
        return hash(self.selection)

    def __repr__(self) -> str:
        """The selection's text."""
        return f"Projection({self.selection.canonical!r})"

    def apply(self, record: Record) -> bytes | None:
        """The selected part of a record.

        Returns:
            Compact JSON in UTF-8, members in the record's order and numbers with its digits; None when there is
            nothing to send: `{}`, `[]`, nothing at all, or a record nested too deep to be followed.
        """
        try:
            if self._overlaps is None:
                part = _select(record.exact, self._names)
            else:
                part = _select_overlapping(record.exact, self._overlaps.root)
        except RecursionError:
            return None
        if not part or part is _NOTHING:
            return None
        try:
            return orjson.dumps(part, default=_digits)
        except TypeError:
            return _written(part)


def _by_name(members: Members) -> Names:
    return {name: None if below is None else _by_name(below) for name, below in members}


def _has_wildcard(names: Names) -> bool:
    return WILDCARD in names or any(below is not None and _has_wildcard(below) for below in names.values())


def _select(value: Any, names: Names) -> Any:
    """What `names` select of a value, without wildcards: the way of nearly every record, so kept short."""
    if type(value) is dict:
        part = {}
        for name in value:  # not items(): most members are not selected
            if name in names:
                below = names[name]
                if below is None:
                    part[name] = value[name]
                elif (member := _select(value[name], below)) is not _NOTHING:
                    part[name] = member
        return part
    if type(value) is list:
        elements = [element for item in value if (element := _select(item, names)) is not _NOTHING]
        return elements if elements or not value else _NOTHING
    return _NOTHING


def _select_overlapping(value: Any, overlap: Overlap) -> Any:
    """What selections with wildcards select of a value."""
    if type(value) is dict:
        part = {}
        for name, member in value.items():
            below = overlap.member(name)
            if below is None:
                part[name] = member
            elif below is not UNSELECTED and (cut := _select_overlapping(member, below)) is not _NOTHING:
                part[name] = cut
        return part
    if type(value) is list:
        elements = [element for item in value if (element := _select_overlapping(item, overlap)) is not _NOTHING]
        return elements if elements or not value else _NOTHING
    return _NOTHING


def _digits(value: object) -> orjson.Fragment:
    if isinstance(value, Digits):
        return orjson.Fragment(value.text)
    raise TypeError


def _written(part: Any) -> bytes:
    """JSON of what orjson refuses: more than 254 levels, or escapes of lone surrogates. Loops instead of recursing."""
    pieces: list[str] = []
    # What is still to be written, last first: values, and texts that are written as they are.
    waiting: list[tuple[bool, Any]] = [(False, part)]
    while waiting:
        verbatim, value = waiting.pop()
        if verbatim:
            pieces.append(value)
        elif type(value) is dict:
            pieces.append("{")
            waiting.append((True, "}"))
            for place, (name, member) in reversed(list(enumerate(value.items()))):
                waiting += (False, member), (True, f"{',' if place else ''}{json.dumps(name)}:")
        elif type(value) is list:
            pieces.append("[")
            waiting.append((True, "]"))
            for place, element in reversed(list(enumerate(value))):
                waiting += (False, element), (True, "," if place else "")
        else:
            pieces.append(value.text if isinstance(value, Digits) else json.dumps(value))
    return "".join(pieces).encode()
