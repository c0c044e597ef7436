"""Every case of the contract, through the language, the record and the projection, without any I/O."""

import json

import pytest

from edge.errors import cut_reason
from filter_service.language import LanguageError, compile_fields, compile_where
from filter_service.projection import Projection
from filter_service.record import parse
from tests.cases.cases import Case, Closed, NothingSent, Outcome, Sent, load, same_json


def outcome_of(case: Case) -> Outcome:
    """What the filter service makes of a case, its reason cut as the edge does."""
    try:
        rule = compile_where(case.where or "")
        selection = compile_fields(case.fields or "")
    except LanguageError as error:
        return Closed(error.code, cut_reason(error.reason))
    record = parse(case.payload)
    if record is None or not rule.matches(record.document):
        return NothingSent()
    text = record.text if selection is None else Projection(selection).apply(record)
    return NothingSent() if text is None else Sent(json.loads(text))


@pytest.mark.parametrize("case", load(), ids=lambda case: case.id)
def test_a_sample_case_has_its_outcome(case: Case) -> None:
    """What a client sees is what the contract's sample says."""
    outcome = outcome_of(case)
    if isinstance(case.outcome, Sent) and isinstance(outcome, Sent):
        assert same_json(outcome.value, case.outcome.value)
    else:
        assert outcome == case.outcome


def test_equality_of_json_values_tells_truth_from_numbers() -> None:
    """The comparison that the cases rest on refuses what merely looks alike in Python."""
    assert same_json({"a": [1, {"b": 2.0}], "c": True}, {"c": True, "a": [1.0, {"b": 2}]})
    for one, other in ((True, 1), (False, 0), ([True], [1]), ({"a": 0}, {"a": False}), ([1], [1, 2]), ({}, [])):
        assert not same_json(one, other)
