"""How a condition reads a value of a message: where it is found, and as which number, text or truth value it counts.

Used by the conditions of `language`, by the rule index (on the readers' threads), and by the compiler for constants,
so that a constant and a message value are read alike. Pure functions. The rules are those of behaviour, section 5,
"Value typing in the message", and section 10.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final


class Missing(Enum):
    """Type of `MISSING`."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING
"""What `find` returns where a path leads to no scalar."""

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
"""A step that addresses an array element: as JavaScript writes an index (no `-1`, `00`, `+1`, `٣`). Nine digits are
more than an array in a message can have."""

# Possessive (`++`): no digit is tried twice, whatever the length of the text. Blanks are ASCII's.
_DECIMAL = re.compile(r"[ \t\n\r\f\v]*+[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?[ \t\n\r\f\v]*+")

_BLANKS = " \t\n\r\f\v"
_TRUTH = {"true": True, "1": True, "false": False, "0": False}
_LONGEST_TRUTH = len("false")

_INFINITY = float("inf")
_PLAIN_BELOW = 1e21
"""From here on JavaScript writes numbers with an exponent (ECMA-262, Number::toString)."""
_PLAIN_FROM = 1e-6
"""Below this too."""


def find(document: object, path: tuple[str, ...]) -> object:
    """The scalar at `path`: text, number, boolean or None; MISSING where there is none.

    A path that ends at an object or array, or runs past a scalar, leads nowhere.

    Args:
        document: a parsed JSON value.
        path: names of members, or decimal indexes of array elements.
    """
    value = document
    for step in path:
        if type(value) is dict:
            value = value.get(step, MISSING)
        elif type(value) is list:
            index = element_index(step)
            if index is None or index >= len(value):
                return MISSING
            value = value[index]
        else:
            return MISSING
    kind = type(value)
    return MISSING if kind is dict or kind is list else value


def element_index(step: str) -> int | None:
    """The index of the array element that a step of a path addresses; None when it can only be a name."""
    return None if _INDEX.fullmatch(step) is None else int(step)


def numeric(value: object) -> float | None:
    """A number, or text holding a finite decimal one (blanks around it allowed), as a 64-bit float; else None.

    A number too large for a float is infinite, as in IEEE 754; text holding one is no number.
    """
    kind = type(value)
    if kind is float:
        return value  # type: ignore[return-value]  # `type(...) is` does not narrow through a variable
    if kind is int:
        try:
            return float(value)  # type: ignore[arg-type]
        except OverflowError:
            return _INFINITY if value > 0 else -_INFINITY  # type: ignore[operator]
    if kind is str:
        return decimal(value)  # type: ignore[arg-type]
    return None


def decimal(text: str) -> float | None:
    """The finite decimal number that `text` holds, blanks around it allowed; None for anything else.

    A sign, a fraction with digits on one side only, and an exponent may be there; `0x10`, `1_000`, `inf`, a blank text
    and digits beyond ASCII may not.
    """
    if _DECIMAL.fullmatch(text) is None:
        return None
    number = float(text)
    return number if -_INFINITY < number < _INFINITY else None


def text(value: object) -> str | None:
    """A text itself; a number or boolean as JSON writes it (`5.0` is `5`, 1e-7 is `1e-7`); None for anything else.

    Infinity, which a number such as `1e400` becomes, has no JSON text: None.
    """
    kind = type(value)
    if kind is str:
        return value  # type: ignore[return-value]
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return _integer_text(value)  # type: ignore[arg-type]
    if kind is float:
        return _float_text(value)  # type: ignore[arg-type]
    return None


def boolean(value: object) -> bool | None:
    """True and false, 1 and 0, or the same as text in any case (blanks around it allowed); None for anything else."""
    kind = type(value)
    if kind is bool:
        return value  # type: ignore[return-value]
    if kind is int or kind is float:
        return True if value == 1 else False if value == 0 else None
    if kind is str:
        stripped: str = value.strip(_BLANKS)  # type: ignore[attr-defined]
        return _TRUTH.get(stripped.lower()) if len(stripped) <= _LONGEST_TRUTH else None
    return None


def _integer_text(number: int) -> str | None:
    try:
        return str(number)
    except ValueError:  # more digits than Python converts (4,300): `record` makes a float of such a number
        return None


def _float_text(number: float) -> str | None:
    """As ECMA-262 writes it: the shortest digits that give the number back; an exponent when very large or small."""
    if number != number or number in (_INFINITY, -_INFINITY):
        return None
    magnitude = abs(number)
    if magnitude != 0 and not _PLAIN_FROM <= magnitude < _PLAIN_BELOW:
        mantissa, _, exponent = repr(number).partition("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent):+d}"
    digits = repr(number)
    if number.is_integer():
        if "e" not in digits:
            return "0" if number == 0 else digits[:-2]
        mantissa, _, exponent = digits.partition("e")
        whole, _, fraction = mantissa.partition(".")
        return whole + fraction.ljust(int(exponent), "0")
    if "e" in digits:  # from 1e-6 to 1e-4, where Python already writes an exponent
        mantissa, _, exponent = digits.partition("e")
        sign = "-" if number < 0 else ""
        return f"{sign}0.{'0' * (-int(exponent) - 1)}{mantissa.lstrip('-').replace('.', '')}"
    return digits
