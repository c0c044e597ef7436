"""Selections: what a `fields` text means, as plain data.

Made by `compiler`; a `projection` carries one out. Immutable; equal selections have equal canonical texts. The meaning
is that of behaviour, section 6.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

WILDCARD: Final = "*"
"""As a whole name: every member. A member of that name cannot be asked for on its own."""

Members = tuple[tuple[str, "Members | None"], ...]
"""Selected names, sorted and unique, each with what is selected below it; None for all of it.

A `WILDCARD` among them adds what is selected below it to every member, the named ones included."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The part of a record that is sent.

    Attributes:
        canonical: `fields` text that compiles to this selection; selections are equal when these are.
        members: what is selected of the record; at least one name.
    """

    canonical: str
    members: Members = field(compare=False)

    @classmethod
    def of(cls, members: Members) -> Selection:
        """The selection of these members."""
        return cls(_written(members), members)


def _written(members: Members) -> str:
    return ",".join([name if below is None else name + _written_below(below) for name, below in members])


def _written_below(members: Members) -> str:
    return f"/{_written(members)}" if len(members) == 1 else f"({_written(members)})"
