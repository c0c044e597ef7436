"""Projections over all selections and records: what is left agrees with the prose."""

import json
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from filter_service import overlap
from filter_service.language import compile_fields
from filter_service.projection import Projection
from filter_service.record import parse
from tests.cases.cases import same_json
from tests.properties import naive, strategies


@given(strategies.fields, strategies.documents)
@example("*/a,b/c,b/*/d", {"b": {"a": 1, "c": [{"d": 2, "e": 3}], "f": {"d": 4}}})
@example("a/b", {"a": [[{"b": 1, "c": 2}], [], [5], 6]})
def test_what_is_left_is_what_the_prose_says(text: str, document: Any) -> None:
    """The projection of a message is that of a direct reading of the contract, members in the message's order."""
    selection = compile_fields(text)
    assert selection is not None
    record = parse(orjson.dumps(document))
    projected = None if record is None else Projection(selection).apply(record)
    expected = naive.project(text, document)
    if projected is None:
        assert expected is naive.NOTHING
    else:
        assert same_json(json.loads(projected), expected)
        assert json.dumps(json.loads(projected)) == json.dumps(json.loads(json.dumps(expected)))


@given(strategies.fields, st.lists(strategies.documents, min_size=1, max_size=3))
@example("*/a,b/c,b/*/d", [{"b": {"a": 1, "c": [{"d": 2, "e": 3}], "f": {"d": 4}}}])
def test_nothing_depends_on_what_is_kept(text: str, documents: list[Any]) -> None:
    """A projection that may keep nothing of what it has found out leaves the same as one that may."""
    selection = compile_fields(text)
    assert selection is not None
    records = [record for record in map(parse, map(orjson.dumps, documents)) if record is not None]
    projection = Projection(selection)
    kept = [projection.apply(record) for record in records]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap, "KEPT_LIMIT", 0)
        forgetful = Projection(selection)
        assert [forgetful.apply(record) for record in records] == kept


@given(strategies.documents, st.data())
def test_everything_survives_a_projection_that_names_all_members(document: Any, data: st.DataObject) -> None:
    """Numbers with any digits, lone surrogates and bad UTF-8 do not keep a record from being projected."""
    digits = data.draw(st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?", fullmatch=True))
    payload = b'{"n":%s,"s":"\\ud800","v":%s}' % (digits.encode(), orjson.dumps(document))
    record = parse(payload)
    selection = compile_fields("n,s,v")
    assert record is not None
    assert selection is not None
    projected = Projection(selection).apply(record)
    assert projected is not None
    exact = json.loads(projected, parse_int=Decimal, parse_float=Decimal)
    assert exact["n"] == Decimal(digits)
    assert exact["s"] == "\ud800"
