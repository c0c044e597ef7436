"""Decoding of a request's path and query string, exactly as behaviour, sections 2 and 4 say. Pure functions.

Called by the handlers. Tornado's own decoding is not used: it keeps bytes of
undefined encoding, and only the last of repeated names is easy to get at.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a query string, over all its occurrences.

    Attributes:
        value: the decoded text; None when absent or ambiguous.
        ambiguous: it was given more than once, or in brackets (`where[]=`, `where[x]=`): which value is meant
            cannot be known, and must not be guessed.
    """

    value: str | None = None
    ambiguous: bool = False


def decode_value(raw: str) -> str:
    """One name or value of a query string: `+` and `%20` are spaces, escapes are UTF-8.

    A value with an invalid escape or invalid UTF-8 stays undecoded, apart from `+`.

    Args:
        raw: as received, one character per byte (ISO 8859-1, as Tornado hands request lines on).
    """
    spaced = raw.replace("+", " ")
    encoded = spaced.encode("latin-1", "replace")
    if _BAD_ESCAPE.search(encoded):
        return encoded.decode("utf-8", "replace")
    try:
        return unquote_to_bytes(encoded).decode("utf-8")
    except UnicodeDecodeError:
        return encoded.decode("utf-8", "replace")


def decode_segment(raw: str) -> str:
    """One percent-decoded path segment; `+` is itself.

    Raises:
        ValueError: an escape is malformed, or the bytes are not UTF-8.
    """
    encoded = raw.encode("latin-1")
    if _BAD_ESCAPE.search(encoded):
        raise ValueError("malformed percent-encoding")
    return unquote_to_bytes(encoded).decode("utf-8")


def select(query: str, *names: str) -> dict[str, Parameter]:
    """The parameters with these (case-sensitive) names; only `&` separates, the first `=` splits.

    Args:
        query: everything after the first `?` of the request target.
        names: what to look for; everything else is ignored.

    Returns:
        One `Parameter` per name.
    """
    found = {name: Parameter() for name in names}
    for piece in query.split("&"):
        key, _, value = piece.partition("=")
        name, bracket, _ = decode_value(key).partition("[")
        known = found.get(name)
        if known is None:
            continue
        if bracket or known.ambiguous or known.value is not None:
            found[name] = Parameter(ambiguous=True)
        else:
            found[name] = Parameter(decode_value(value))
    return found
