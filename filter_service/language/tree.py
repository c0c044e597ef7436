"""Syntax trees: what a text says, with the place of everything in it, before it is judged.

Made by `parser`, read by `compiler`. Offsets count code points of the text from 0.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a condition.

    Attributes:
        source: as written, without the quotes; empty where a value is left out (`5,`).
        quoted: whether it stood in quotes, so that `source` may hold escapes.
        offset: of `source` in the text.
    """

    source: str
    quoted: bool
    offset: int


@dataclass(frozen=True, slots=True)
class ConditionNode:
    """One condition: `path=operator:values;`.

    Attributes:
        path: the steps of the name.
        operator: a known operator; `eq` where none is written.
        values: at least one.
        offset: where the values begin.
        length: up to the final semicolon, which is not included.
    """

    path: tuple[str, ...]
    operator: str
    values: tuple[Value, ...]
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class MemberNode:
    """One item of `fields`: `name/name/name(members)`.

    Attributes:
        names: from the outermost in; at least one.
        members: what is selected below the last name; empty for all of it.
    """

    names: tuple[str, ...]
    members: tuple[MemberNode, ...]
