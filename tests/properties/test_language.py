"""The query language over all texts: its answers, its errors, its canonical forms, and its agreement with the prose."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import example, given

from filter_service.language import LanguageError, compile_fields, compile_where
from tests.properties import naive, strategies

CODES = {4000, 4001, 4002, 4003, 4004}


def refusal(compile_text: Callable[[str], object], text: str) -> LanguageError | None:
    """The error that compiling the text raises; None: it compiles."""
    try:
        compile_text(text)
    except LanguageError as error:
        return error
    return None


def outcome(error: LanguageError | None) -> tuple[int, str] | None:
    return None if error is None else (error.code, error.reason)


def expected(reading: Callable[[str, Any], object], text: str) -> tuple[int, str] | None:
    """The code and reason of the direct reading of the contract; None: it allows the text."""
    try:
        reading(text, {})
    except naive.Refused as refused:
        return refused.code, refused.reason
    return None


@given(strategies.where_noise | strategies.wheres)
@example("temp=foo:")
@example("temp=gte:5,;")
@example('a="\\')
@example("a=in:,b;")
def test_any_where_is_a_rule_or_a_documented_error(text: str) -> None:
    """A text compiles exactly when the prose allows it; otherwise code and reason are the prose's."""
    error = refusal(compile_where, text)
    assert outcome(error) == expected(naive.matches, text)
    if error is not None:
        assert error.part == "where"
        assert error.code in CODES
        assert 0 <= error.offset <= error.offset + error.length <= len(text)
        assert error.drawn(text).endswith(error.reason)


@given(strategies.fields_noise | strategies.fields)
@example("a(")
@example("a(b)c")
@example("*/a,b")
def test_any_fields_is_a_selection_or_a_syntax_error(text: str) -> None:
    """A text compiles exactly when the prose allows it; otherwise it is 4000, with a place in the text."""
    error = refusal(compile_fields, text)
    assert outcome(error) == expected(naive.project, text)
    if error is not None:
        assert error.part == "fields"
        assert 0 <= error.offset <= error.offset + error.length <= len(text)


@given(strategies.wheres)
def test_the_canonical_text_of_a_rule_is_that_rule(text: str) -> None:
    """Compiling a rule's canonical text gives the rule: conditions, text and hash."""
    rule = compile_where(text)
    again = compile_where(rule.canonical)
    assert again == rule
    assert hash(again) == hash(rule)
    assert again.conditions == rule.conditions
    assert again.canonical == rule.canonical


@given(strategies.fields)
def test_the_canonical_text_of_a_selection_is_that_selection(text: str) -> None:
    """Compiling a selection's canonical text gives the selection: members, text and hash."""
    selection = compile_fields(text)
    assert selection is not None
    again = compile_fields(selection.canonical)
    assert again == selection
    assert again is not None
    assert hash(again) == hash(selection)
    assert again.members == selection.members


@given(strategies.wheres, strategies.documents)
@example("a=neq:5;", {"a": None})
@example("a=nin:b;", {})
@example("a=in:0;", {"a": 0})
@example("0.a=5;", [{"a": "5"}])
def test_rules_match_what_the_prose_says(text: str, document: Any) -> None:
    """A rule's verdict on a message is that of a direct reading of the contract."""
    assert compile_where(text).matches(document) == naive.matches(text, document), json.dumps(document)
