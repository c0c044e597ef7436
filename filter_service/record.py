"""A record's value, parsed once.

Made by the readers for every Kafka record, on their threads; conditions look at `document`, projections cut it, and
`text` is what is sent when nothing is cut. The rules are those of behaviour, sections 7 and 10.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import orjson

Document = dict[str, Any] | list[Any]
"""A parsed JSON object or array."""

SMALLEST_INTEGER, LARGEST_INTEGER = -(2**63), 2**64 - 1
"""orjson makes floats of integers beyond these, and so does the slow way, so that a record reads the same in both."""
_LONGEST_INTEGER = 20
"""Characters of the longest integer between them."""


class Record:
    """A JSON object or array that holds something.

    Attributes:
        text: the payload: valid JSON in UTF-8.
        document: the same, parsed: a dict or list, not empty. Numbers are 64-bit floats, but integers of 64 bits; a
            number too large for a float is infinite.
    """

    __slots__ = ("_exact", "document", "text")

    def __init__(self, text: bytes, document: Document) -> None:
        """Holds what `parse` found."""
        self.text = text
        self.document = document
        self._exact: Document | None = None

    @property
    def exact(self) -> Document:
        """The document to cut pieces out of, computed once.

        Mostly `document` itself. When floats could not write some number with the payload's digits, a copy in which
        every number is a `Digits`.
        """
        exact = self._exact
        if exact is None:
            exact = self._exact = _parse_exactly(self.text) if _may_lose_digits(self.text) else self.document
        return exact


class Digits:
    """A number as the payload writes it.

    Attributes:
        text: its digits: a JSON number.
    """

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        """Keeps the digits."""
        self.text = text


def parse(payload: bytes | None) -> Record | None:
    """Reads a payload as strict JSON; bytes that are not UTF-8 count as U+FFFD.

    Args:
        payload: a Kafka record's value; None for a tombstone.

    Returns:
        None when there is nothing that could ever be sent: not JSON, a scalar, an empty object or array, or nested
        deeper than Python can follow (about a thousand levels).
    """
    if not payload:
        return None
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return _parse_slowly(payload)
    return Record(payload, document) if document and isinstance(document, (dict, list)) else None


def _parse_slowly(payload: bytes) -> Record | None:
    """Decides about what orjson refuses.

    Besides what is not JSON, these are bytes that are not UTF-8, escapes of lone surrogates and numbers that overflow.
    """
    try:
        decoded = payload.decode()
    except UnicodeDecodeError:
        decoded = payload.decode(errors="replace")
        payload = decoded.encode()
    try:
        document = json.loads(decoded, parse_int=_integer, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    return Record(payload, document) if document and isinstance(document, (dict, list)) else None


def _integer(digits: str) -> int | float:
    if len(digits) <= _LONGEST_INTEGER and SMALLEST_INTEGER <= (number := int(digits)) <= LARGEST_INTEGER:
        return number
    return float(digits)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_CLASSES = bytes.maketrans(b"123456789.-E", b"0000000000+e")
_LONG, _LARGE, _LARGE_SIGNED = b"0" * 16, b"0e000", b"0e+000"
_LONG_NUMBER = re.compile(rb"-?[0-9.]{16,}+[eE]?")
_LARGE_EXPONENT = re.compile(rb"[0-9][eE][+-]?[0-9]{3,}+[ \t\n\r]*+[,\]}]")


def _may_lose_digits(text: bytes) -> bool:
    """Whether some number could come out of a float, or an integer of 64 bits, with other digits.

    Texts that look like such a number cost time and do no harm. Most records hold nothing like it, which three
    searches for a fixed text find out in half a microsecond.
    """
    classes = text.translate(_CLASSES)
    return (_LONG in classes and any(map(_is_lossy, _LONG_NUMBER.findall(text)))) or (
        (_LARGE in classes or _LARGE_SIGNED in classes) and _LARGE_EXPONENT.search(text) is not None
    )


def _is_lossy(number: bytes) -> bool:
    """Whether a number has more digits than the 15 that every float keeps, or, as an integer, than 64 bits hold."""
    return b"." in number or not number[-1:].isdigit() or len(number) >= _LONGEST_INTEGER


def _parse_exactly(text: bytes) -> Document:
    document: Document = json.loads(text.decode(), parse_int=Digits, parse_float=Digits)
    return document
