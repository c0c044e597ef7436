"""A second reading of behaviour, sections 5 to 7: slow, direct, from the prose, and without the language's code.

The oracle of the property tests: `matches` for rules and for the rule index, `project` for projections. Texts are read
character by character; documents are what `json.loads` gives.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

NOTHING = object()
"""What `project` returns when nothing of a document is selected."""

_OPERATORS = ("eq", "neq", "gt", "gte", "lt", "lte", "in", "nin", "bool")
_SETS = ("in", "nin")
_LINE_BREAKS = "\n\r\u2028\u2029"
_BLANKS = " \t\n\r\f\v"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Refused(Exception):  # noqa: N818
    """The text is no rule or no selection."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


@dataclass
class _Condition:
    path: list[str]
    operator: str
    values: list[tuple[str, bool]]
    """Each as written, without quotes, and whether there were quotes."""


# ------------------------------------------------------------------------------------------------------------- where


def matches(where: str, document: Any) -> bool:
    """Whether a message passes a filter.

    Raises:
        Refused: `where` is none.
    """
    conditions = _checked(_Reader(where).conditions())
    return all(_holds(condition, document) for condition in conditions)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ""

    def take(self, expected: str) -> None:
        if self.peek() != expected:
            raise Refused(4000, "invalid syntax")
        self.at += 1

    def conditions(self) -> list[_Condition]:
        found = []
        while self.peek():
            found.append(self.condition())
        return found

    def condition(self) -> _Condition:
        path = [self.step()]
        while self.peek() == ".":
            self.take(".")
            path.append(self.step())
        self.take("=")
        operator = self.operator()
        values = [self.value()]
        while self.peek() == ",":
            if operator in _SETS and values[-1] == ("", False):
                break
            self.take(",")
            values.append(self.value())
        if values == [("", False)] or (operator in _SETS and ("", False) in values):
            raise Refused(4000, "invalid syntax")
        self.take(";")
        return _Condition(path, operator, values)

    def step(self) -> str:
        begin = self.at
        while (character := self.peek()) and character not in '=;,:".\u2028\u2029' and not _is_control(character):
            self.at += 1
        if self.at == begin:
            raise Refused(4000, "invalid syntax")
        return self.text[begin : self.at]

    def operator(self) -> str:
        end = self.at
        while end < len(self.text) and self.text[end] in _LETTERS:
            end += 1
        if end == self.at or self.text[end : end + 1] != ":":
            return "eq"
        word = self.text[self.at : end]
        if word not in _OPERATORS:
            raise Refused(4001, f"invalid operator '{word}'")
        self.at = end + 1
        return word

    def value(self) -> tuple[str, bool]:
        begin = self.at
        if self.peek() != '"':
            while (character := self.peek()) and character not in ',;"' + _LINE_BREAKS:
                self.at += 1
            return self.text[begin : self.at], False
        self.at += 1
        while self.peek() != '"':
            if self.peek() == "\\":
                self.at += 1
            elif self.peek() in _LINE_BREAKS:  # or the end: "" is in every text
                raise Refused(4000, "invalid syntax")
            if not self.peek():
                raise Refused(4000, "invalid syntax")
            self.at += 1
        self.at += 1
        return self.text[begin + 1 : self.at - 1], True


def _is_control(character: str) -> bool:
    return ord(character) < 0x20 or 0x7F <= ord(character) <= 0x9F


def _checked(conditions: list[_Condition]) -> list[_Condition]:
    for condition in conditions:
        condition.values = [(_unescape(text) if quoted else text, quoted) for text, quoted in condition.values]
        if condition.operator in _SETS:
            continue
        if len(condition.values) != 1:
            raise Refused(4003, f"invalid arity {len(condition.values)} for '{condition.operator}'")
        value = condition.values[0][0]
        if (_truth(value) if condition.operator == "bool" else _number(value)) is None:
            raise Refused(4004, f"invalid value {value} for operator '{condition.operator}'")
    return conditions


def _unescape(text: str) -> str:
    plain = ""
    characters = iter(text)
    for character in characters:
        if character == "\\":
            character = next(characters)
            if character in "bfnrt":
                character = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}[character]
            elif character.lower() in _LETTERS and ord(character) < 128:
                raise Refused(4002, f"invalid escape value \\{character}")
        plain += character
    return plain


def _holds(condition: _Condition, document: Any) -> bool:
    value = _find(document, condition.path)
    constants = [text for text, _ in condition.values]
    if condition.operator in _SETS:
        text = _json_text(value)
        contained = text is not None and any(item in text for item in constants)
        return contained if condition.operator == "in" else not contained
    if condition.operator == "bool":
        return _truth_of(value) is not None and _truth_of(value) == _truth(constants[0])
    left, right = _number_of(value), _number(constants[0])
    assert right is not None
    if left is None:
        return False
    return {
        "eq": left == right,
        "neq": left != right,
        "gt": left > right,
        "gte": left >= right,
        "lt": left < right,
        "lte": left <= right,
    }[condition.operator]


def _find(document: Any, path: list[str]) -> Any:
    """The scalar at a path; NOTHING when there is none."""
    for step in path:
        if isinstance(document, dict) and step in document:
            document = document[step]
        elif isinstance(document, list) and step in [str(index) for index in range(len(document))]:
            document = document[int(step)]
        else:
            return NOTHING
    return NOTHING if isinstance(document, (dict, list)) else document


def _number(text: str) -> float | None:
    pattern = r"[+-]?([0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
    stripped = text.strip(_BLANKS)
    if not re.fullmatch(pattern, stripped) or abs(float(stripped)) == float("inf"):
        return None
    return float(stripped)


def _number_of(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    return _number(value) if isinstance(value, str) else float(value)


def _truth(text: str) -> bool | None:
    return {"true": True, "1": True, "false": False, "0": False}.get(text.strip(_BLANKS).lower())


def _truth_of(value: Any) -> bool | None:
    if isinstance(value, str):
        return _truth(value)
    return bool(value) if isinstance(value, (bool, int, float)) and value in (0, 1) else None


def _json_text(value: Any) -> str | None:
    """As JavaScript's `String()` of a text, number or boolean; NOTHING, None and the rest have no text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, float):
        return None
    if value == 0:
        return "0"
    # ECMA-262, Number::toString: `point` is n there, the place of the decimal point among the shortest digits.
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits))
    point = len(text) + exponent
    if point > 21 or point <= -6:
        fraction = "." + text[1:] if len(text) > 1 else ""
        text = f"{text[0]}{fraction}e{'+' if point > 0 else '-'}{abs(point - 1)}"
    elif point <= 0:
        text = "0." + "0" * -point + text
    elif point >= len(text):
        text += "0" * (point - len(text))
    else:
        text = text[:point] + "." + text[point:]
    return ("-" if sign else "") + text


# ------------------------------------------------------------------------------------------------------------ fields


def project(fields: str, document: Any) -> Any:
    """What is left of a message; NOTHING when nothing is sent.

    Raises:
        Refused: `fields` selects nothing that can be understood.
    """
    if not fields:
        part = document
    else:
        paths, end = _read_members(fields, 0)
        if end < len(fields):
            raise Refused(4000, "invalid syntax")
        part = _cut(document, paths)
    return part if isinstance(part, (dict, list)) and part else NOTHING


def _read_members(fields: str, at: int) -> tuple[list[list[str]], int]:
    """The paths that a list of items selects, and where the list ends."""
    paths = []
    while True:
        names, at = _read_name(fields, at)
        path = [names]
        while fields[at : at + 1] == "/":
            name, at = _read_name(fields, at + 1)
            path.append(name)
        if fields[at : at + 1] == "(":
            below, at = _read_members(fields, at + 1)
            if fields[at : at + 1] != ")":
                raise Refused(4000, "invalid syntax")
            at += 1
            paths += [path + rest for rest in below]
        else:
            paths.append(path)
        if fields[at : at + 1] != ",":
            return paths, at
        at += 1


def _read_name(fields: str, at: int) -> tuple[str, int]:
    end = at
    while end < len(fields) and fields[end] not in ",/()":
        end += 1
    if end == at:
        raise Refused(4000, "invalid syntax")
    return fields[at:end], end


def _cut(value: Any, paths: list[list[str]]) -> Any:
    if [] in paths:
        return value
    if isinstance(value, dict):
        part = {}
        for name, member in value.items():
            below = [path[1:] for path in paths if path[0] in (name, "*")]
            cut = _cut(member, below) if below else NOTHING
            if cut is not NOTHING:
                part[name] = cut
        return part
    if isinstance(value, list):
        elements = [_cut(element, paths) for element in value]
        elements = [element for element in elements if element is not NOTHING]
        return elements if elements or not value else NOTHING
    return NOTHING
