"""From text to rules and selections, or to the error that the text deserves.

Called by `query_compiler` for every subscription and every `Validate`, from several threads. Errors come in the order
of behaviour, section 5: the leftmost syntax error or unknown operator; then, condition by condition, escape, arity,
type.
"""

from __future__ import annotations

from functools import lru_cache

from filter_service import values
from filter_service.language.errors import InvalidArityError, InvalidEscapeError, InvalidValueError
from filter_service.language.parser import parse_fields, parse_where
from filter_service.language.rule import (
    BooleanCondition,
    Condition,
    NumericCondition,
    NumericOperator,
    Rule,
    TextCondition,
)
from filter_service.language.selection import WILDCARD, Members, Selection
from filter_service.language.tree import ConditionNode, MemberNode, Value

_REMEMBERED_TEXTS = 1024
"""Many clients ask for the same."""
_REMEMBERED_LENGTH = 2048
"""Longer texts are compiled each time, so that what is remembered stays within a few megabytes."""


def compile_where(text: str) -> Rule:
    """The rule that `text` states; one without conditions when it is empty.

    Args:
        text: decoded `where` parameter.

    Raises:
        LanguageError: `text` is not a rule.
    """
    return _remembered_rule(text) if len(text) <= _REMEMBERED_LENGTH else _rule(text)


def compile_fields(text: str) -> Selection | None:
    """The selection that `text` states; None, for the whole record, when it is empty.

    Args:
        text: decoded `fields` parameter.

    Raises:
        LanguageError: `text` is not a selection.
    """
    return _remembered_selection(text) if len(text) <= _REMEMBERED_LENGTH else _selection(text)


def _rule(text: str) -> Rule:
    return Rule.of([_condition(node) for node in parse_where(text)])


def _selection(text: str) -> Selection | None:
    return Selection.of(_frozen(_merged({}, parse_fields(text)))) if text else None


_remembered_rule = lru_cache(_REMEMBERED_TEXTS)(_rule)
_remembered_selection = lru_cache(_REMEMBERED_TEXTS)(_selection)


# ------------------------------------------------------------------------------------------------------------- where


def _condition(node: ConditionNode) -> Condition:
    operator = node.operator
    texts = [_unescaped(value) for value in node.values]
    if operator in ("in", "nin"):
        return TextCondition(node.path, operator == "nin", tuple(sorted(set(texts))))
    if len(texts) != 1:
        raise InvalidArityError(len(texts), operator, node.offset, node.length)
    constant = values.boolean(texts[0]) if operator == "bool" else values.decimal(texts[0])
    if constant is None:
        raise InvalidValueError(texts[0], operator, node.offset, node.length)
    if operator == "bool":
        return BooleanCondition(node.path, bool(constant))
    return NumericCondition(node.path, NumericOperator(operator), constant + 0.0)  # + 0.0: -0 is 0


_CONTROL_CHARACTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def _unescaped(value: Value) -> str:
    """What a value means. A backslash stands for itself in a bare one."""
    if not value.quoted or "\\" not in value.source:
        return value.source
    source = value.source
    pieces: list[str] = []
    begin = 0
    while (backslash := source.find("\\", begin)) >= 0:
        character = source[backslash + 1]  # always there: an escaped quote does not close
        if character.isascii() and character.isalpha():
            if character not in _CONTROL_CHARACTERS:
                raise InvalidEscapeError(character, value.offset + backslash)
            character = _CONTROL_CHARACTERS[character]
        pieces += source[begin:backslash], character
        begin = backslash + 2
    pieces.append(source[begin:])
    return "".join(pieces)


# ------------------------------------------------------------------------------------------------------------ fields

_Merging = dict[str, "_Merging | None"]
"""Names with what is selected below them; None for everything."""


def _merged(into: _Merging, nodes: tuple[MemberNode, ...]) -> _Merging:
    """Adds to `into` what the nodes select: the same name twice means both."""
    for node in nodes:
        level: _Merging = into
        for name in node.names[:-1]:
            below = level.setdefault(name, {})
            if below is None:  # selected whole: what is below adds nothing
                break
            level = below
        else:
            _merge_last(level, node)
    return into


def _merge_last(level: _Merging, node: MemberNode) -> None:
    name = node.names[-1]
    if not node.members:
        level[name] = None
    elif (below := level.setdefault(name, {})) is not None:
        _merged(below, node.members)


def _frozen(level: _Merging) -> Members:
    """The canonical form: sorted, and without names that say no more than a wildcard beside them."""
    members = {name: None if below is None else _frozen(below) for name, below in level.items()}
    if WILDCARD in members:
        wildcard = members[WILDCARD]
        if wildcard is None:
            return ((WILDCARD, None),)
        members = {name: below for name, below in members.items() if name == WILDCARD or below != wildcard}
    return tuple(sorted(members.items(), key=lambda member: member[0]))
