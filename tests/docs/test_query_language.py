"""Every example of the query language in README.md, through the language, the record and the projection."""

import json

import pytest

from filter_service.language import LanguageError, compile_fields, compile_where
from filter_service.language.parser import MAX_DEPTH, MAX_LENGTH
from filter_service.projection import Projection
from filter_service.record import parse
from tests.docs.page import blocks, section, span, spans, table, text_of

PAGE = text_of()
RECORD = blocks("json", section("`where`: which records", PAGE))[0].encode()
WHERE = [(span(where), outcome) for where, outcome, _ in table("`where`", PAGE)]
FIELDS = [(span(fields), outcome) for fields, outcome, _ in table("`fields`", PAGE)]


def sent(where: str, fields: str, payload: bytes = RECORD) -> bytes | None:
    """The frame that a client gets for a payload; None for none."""
    rule, selection = compile_where(where), compile_fields(fields)
    record = parse(payload)
    if record is None or not rule.matches(record.document):
        return None
    return record.text if selection is None else Projection(selection).apply(record)


def refusal(where: str, fields: str) -> str:
    """How the tables write the error of a query."""
    with pytest.raises(LanguageError) as error:
        sent(where, fields)
    return f"{error.value.code} `{error.value.reason}`"


@pytest.mark.parametrize(("where", "outcome"), WHERE)
def test_a_condition_has_the_outcome_that_is_told(where: str, outcome: str) -> None:
    """Sent as it came, not sent, or refused with code and reason."""
    if outcome == "sent":
        assert sent(where, "") == RECORD
    elif outcome == "not sent":
        assert sent(where, "") is None
    else:
        assert refusal(where, "") == outcome


@pytest.mark.parametrize(("fields", "outcome"), FIELDS)
def test_a_projection_leaves_what_is_told(fields: str, outcome: str) -> None:
    """The very text, nothing, or refused with code and reason."""
    if outcome == "nothing":
        assert sent("", fields) is None
    elif outcome.startswith("`"):
        assert sent("", fields) == span(outcome).encode()
    else:
        assert refusal("", fields) == outcome


def test_the_tables_cover_the_language() -> None:
    """Every operator and every error has an example."""
    wheres = [where for where, _ in WHERE]
    for operator in ("eq", "neq", "gt", "gte", "lt", "lte", "in", "nin", "bool"):
        assert any(f"={operator}:" in where for where in wheres), operator
    assert {outcome[:4] for _, outcome in WHERE if outcome[0] == "4"} == {"4000", "4001", "4002", "4003", "4004"}
    assert len(FIELDS) > 10


def test_every_operator_of_the_table_exists() -> None:
    """The table of operators names those that the language has, and no other."""
    named = [name for row in table("operator", PAGE) for name in spans(row[0])]
    for name in named:
        compile_where(f"a={name}:1;")
    assert sorted(named) == sorted(["eq", "neq", "gt", "gte", "lt", "lte", "in", "nin", "bool"])


def test_names_are_not_trimmed() -> None:
    """The blank of `a=1; b=2;` belongs to the name, as the text below the table says."""
    assert "`a=1; b=2;`" in PAGE
    assert sent("a=1; b=2;", "", b'{"a":1," b":2}') is not None
    assert sent("a=1; b=2;", "", b'{"a":1,"b":2}') is None


def test_the_limits_are_those_of_the_code() -> None:
    """Length and depth, as told."""
    assert f"at most {MAX_LENGTH:,} characters" in PAGE
    assert f"at most {MAX_DEPTH} levels deep" in PAGE
    deep = "/".join(["a"] * (MAX_DEPTH + 1))
    assert refusal("", deep) == "4000 `invalid syntax`"
    assert compile_fields(deep.removesuffix("/a")) is not None


@pytest.mark.parametrize("payload", [b"", b"no JSON", b"5", b'"text"', b"null", b"{}", b"[]", b"NaN", b"[" * 2000])
def test_what_is_never_sent(payload: bytes) -> None:
    """Payloads of the chapter "What is sent"."""
    assert sent("", "", payload) is None


def test_payloads_and_digits_are_kept() -> None:
    """The bytes without `fields`, order and digits with it."""
    payload = b' { "b" : 1.10, "a":12345678901234567890123 } '
    assert sent("", "", payload) == payload
    assert sent("", "a,b", payload) == b'{"b":1.10,"a":12345678901234567890123}'
    assert sent("", "", b'{"a":"\xff"}') == '{"a":"�"}'.encode()


def test_the_record_is_what_it_looks_like() -> None:
    """The record above the table is one JSON object."""
    assert isinstance(json.loads(RECORD), dict)
