"""The project's pages as data: tables, code blocks, links and names. Pure; read by the tests beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "DECISIONS.md", "CHANGELOG.md")

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE_SPAN = re.compile(r"`([^`\n]+)`")
_CELL_BREAK = re.compile(r"\|(?=(?:[^`]*`[^`]*`)*[^`]*$)")
"""A bar that stands in no code span."""


def text_of(page: str = "README.md") -> str:
    """A page's text."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(language: str, text: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    return [match[2] for match in _FENCE.finditer(text) if match[1] == language]


def prose(text: str) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", text)


def code(text: str) -> str:
    """Everything that is set as code, a piece a line."""
    fenced = [match[2] for match in _FENCE.finditer(text)]
    return "\n".join([*fenced, *spans(prose(text))])


def spans(text: str) -> list[str]:
    """The code spans of a text."""
    return _CODE_SPAN.findall(text)


def span(cell: str) -> str:
    """The text of a cell that is one code span; empty for an empty cell."""
    assert not cell or re.fullmatch(_CODE_SPAN, cell), f"{cell!r} is not one code span"
    return cell.strip("`")


def section(heading: str, text: str) -> str:
    """What stands below a heading, up to the next one of its level or a higher one."""
    match = re.search(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    assert match, f"there is no heading {heading!r}"
    return match[2]


def table(first_heading: str, text: str) -> list[list[str]]:
    """The rows of the only table whose first column has this heading.

    Args:
        first_heading: as written, code marks included.
        text: to look in.
    """
    found = [rows for rows in _tables(text) if rows[0][0] == first_heading]
    assert len(found) == 1, f"{len(found)} tables begin with the column {first_heading!r}"
    return found[0][2:]


def _tables(text: str) -> Iterator[list[list[str]]]:
    rows: list[list[str]] = []
    for line in [*prose(text).splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in _CELL_BREAK.split(line)[1:-1]])
        elif rows:
            yield rows
            rows = []
