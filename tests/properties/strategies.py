"""What the property tests draw: documents, and texts from random noise to well-formed queries about them.

Names and values come from small sets, so that queries and documents meet.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

NAMES = ("a", "b", "temp", "x y", "0", "1", "*", "é", "a-b", "true")
TEXTS = (
    "a",
    "ab",
    "b",
    "5",
    "5.0",
    " 7 ",
    "-1e1",
    "1e400",
    "0x10",
    "true",
    "FALSE",
    "",
    " ",
    "é",
    "x,y",
    'q"',
    "a\\b",
    "NaN",
)

numbers = st.one_of(
    st.sampled_from([0, 1, 5, 7, -10, 0.5, -0.0, 5.0, 1e-7, 1e21, 123456789012345680000.0, 2**53 + 1]),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, st.sampled_from(TEXTS), st.text(max_size=4))
names = st.sampled_from(NAMES)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
documents: st.SearchStrategy[Any] = st.dictionaries(names, values, max_size=5) | st.lists(values, max_size=3)
"""Parsed JSON objects and arrays, as a message holds them."""

# ------------------------------------------------------------------------------------------------------------- where

_WHERE_PIECES = (
    "a",
    "temp",
    "=",
    ";",
    ",",
    ".",
    ":",
    '"',
    "\\",
    "n",
    "q",
    "in:",
    "gte:",
    "foo:",
    "bool:",
    "5",
    " ",
    "\n",
)
where_noise = st.text(max_size=20) | st.lists(
    st.sampled_from([*_WHERE_PIECES, "\u2028", "\x00", "é"]), max_size=14
).map("".join)
"""Texts that mostly are no rule."""


def _quoted(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\u2028": "\\\u2028", "\u2029": "\\\u2029"}
    return '"' + "".join(escapes.get(character, character) for character in text) + '"'


_literals = st.one_of(
    st.integers(-20, 20).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(str),
    st.sampled_from(["5", "5.", ".5", "+7", "1e2", " 7 ", "-10", "0", '"5"', '" 1 "']),
)
_booleans = st.sampled_from(["true", "FALSE", "1", "0", " tRue ", '"false"'])
_bare = st.sampled_from([text for text in TEXTS if text and not set(text) & set(',;"')])
_items = _bare | st.sampled_from(TEXTS).map(_quoted) | st.text(max_size=3).map(_quoted)
_paths = st.lists(names, min_size=1, max_size=3).map(".".join)
_conditions = st.one_of(
    st.builds("{}={}{};".format, _paths, st.sampled_from(["", "eq:", "neq:", "gt:", "gte:", "lt:", "lte:"]), _literals),
    st.builds("{}=bool:{};".format, _paths, _booleans),
    st.builds(
        "{}={}:{};".format,
        _paths,
        st.sampled_from(["in", "nin"]),
        st.lists(_items, min_size=1, max_size=3).map(",".join),
    ),
)
wheres = st.lists(_conditions, max_size=4).map("".join)
"""Well-formed rules."""

# ------------------------------------------------------------------------------------------------------------ fields

fields_noise = st.text(max_size=20) | st.lists(
    st.sampled_from(["a", "b", "*", ",", "/", "(", ")", "é"]), max_size=14
).map("".join)
"""Texts that mostly are no selection."""

_chains = st.lists(names, min_size=1, max_size=3).map("/".join)
_members = st.recursive(
    _chains,
    lambda inner: st.builds("{}({})".format, _chains, st.lists(inner, min_size=1, max_size=3).map(",".join)),
    max_leaves=5,
)
fields = st.lists(_members, min_size=1, max_size=4).map(",".join)
"""Well-formed selections, not empty."""
