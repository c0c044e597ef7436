"""What the rule index promises beside right answers, which `tests/properties/test_rule_index.py` shows."""

from __future__ import annotations

import random
import sys
import tracemalloc
from types import FrameType
from typing import Any

import orjson
import pytest

from filter_service.language import NumericCondition, NumericOperator, Rule, compile_where
from filter_service.matching import RuleIndex
from tests.benchmarks.workloads import KINDS, workload

DOCUMENT = {"temperature": 30, "status": "failed", "door": {"open": True}}


def index_of(*texts: str) -> RuleIndex[str]:
    """An index with each text as the member of its rule."""
    index: RuleIndex[str] = RuleIndex()
    for text in texts:
        index.add(compile_where(text), text)
    return index


def members(index: RuleIndex[str], document: Any) -> list[str]:
    """Who gets a document, sorted."""
    return sorted(member for entry in index.match(document) for member in entry.members)


def calls_of(index: RuleIndex[Any], documents: list[Any]) -> int:
    """Number of calls of functions, Python's and C's, while documents are matched."""
    count = 0

    def profile(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        index.match_all(documents)
    finally:
        sys.setprofile(None)
    return count


def test_equal_rules_are_one_entry_with_all_members() -> None:
    """Conditions in another order, or written otherwise, make no other rule."""
    index = index_of("temperature=gte:30;status=in:failed;", "status=in:failed;temperature=gte:3e1;")
    (entry,) = index.match(DOCUMENT)
    assert list(entry.members) == ["temperature=gte:30;status=in:failed;", "status=in:failed;temperature=gte:3e1;"]
    assert len(index) == 1


def test_the_last_member_takes_the_rule_away() -> None:
    """A rule stays as long as somebody wants it; whom it does not have cannot be removed."""
    index: RuleIndex[str] = RuleIndex()
    rule = compile_where("temperature=30;")
    index.add(rule, "first")
    index.add(rule, "second")
    index.remove(rule, "first")
    assert members(index, DOCUMENT) == ["second"]
    with pytest.raises(KeyError):
        index.remove(rule, "first")
    index.remove(rule, "second")
    assert members(index, DOCUMENT) == []
    assert len(index) == 0
    with pytest.raises(KeyError):
        index.remove(rule, "second")


def test_rules_that_nothing_can_match_are_kept_and_leave() -> None:
    """Conditions that exclude each other are no error."""
    index = index_of("temperature=gt:5;temperature=lt:5;", "door.open=bool:1;door.open=bool:0;", "")
    assert members(index, DOCUMENT) == [""]
    assert len(index) == 3
    index.remove(compile_where("temperature=gt:5;temperature=lt:5;"), "temperature=gt:5;temperature=lt:5;")
    assert len(index) == 2


def test_conditions_on_missing_paths_hold_as_the_contract_says() -> None:
    """`nin` matches where there is nothing; everything else does not."""
    texts = ("gone=nin:x;", "gone=in:x;", "gone=neq:1;", "gone=lt:1;", "gone=bool:0;", "gone.deep=nin:x;")
    assert members(index_of(*texts), DOCUMENT) == ["gone.deep=nin:x;", "gone=nin:x;"]


def test_several_sets_on_one_path_are_all_asked() -> None:
    """Each `in` of a path must find one of its items."""
    index = index_of("status=in:fail,ok;status=in:ed;", "status=in:fail;status=in:ok;")
    assert members(index, DOCUMENT) == ["status=in:fail,ok;status=in:ed;"]


def test_records_that_no_rule_is_left_for() -> None:
    """In a slice of which each condition of some rule holds for each record, and all of no rule."""
    index = index_of(*(f"n=gt:{low};n=lt:{low + 1};m=gt:{low};m=lt:{low + 1};text=in:x;" for low in range(7)))
    documents = [{"n": row % 7 + 0.5, "m": (row + 1) % 7 + 0.5, "text": f"x{row}"} for row in range(200)]
    assert not index.match_all(documents)
    documents[6]["m"] = documents[6]["n"]
    ((entry, rows),) = index.match_all(documents).items()
    assert (list(entry.members), rows) == (["n=gt:6;n=lt:7;m=gt:6;m=lt:7;text=in:x;"], [6])


def test_numbers_beyond_64_bits_are_infinite() -> None:
    """As IEEE 754 has it: greater than every constant."""
    index = index_of("a=gt:1.7976931348623157e308;", "a=lt:-1.7976931348623157e308;", "a=lte:1e308;")
    assert members(index, {"a": 10**400}) == ["a=gt:1.7976931348623157e308;"]
    assert members(index, {"a": -(10**400)}) == ["a=lt:-1.7976931348623157e308;", "a=lte:1e308;"]


@pytest.mark.parametrize("kind", KINDS)
def test_ten_times_the_rules_take_hardly_more_steps(kind: str) -> None:
    """With some five matches per record, 10,000 rules take hardly more calls than 1,000, and few.

    All records are matched at once: what is done for each of them counts, and not what is done for each block.
    """
    calls = []
    for count in (1000, 10_000):
        work = workload(kind, count, records=1000)
        index: RuleIndex[int] = RuleIndex()
        for number, rule in enumerate(work.rules):
            index.add(rule, number)
        documents = [orjson.loads(payload) for payload in work.payloads]
        calls_of(index, documents)  # it learns what the records are like
        calls.append(calls_of(index, documents) / len(documents))
    assert calls[1] <= calls[0] * 1.5 + 5
    assert calls[1] <= 40


def test_conditions_on_paths_that_no_record_has_cost_nothing() -> None:
    """Ten thousand rules on other paths take no more calls than ten."""
    index: RuleIndex[int] = RuleIndex()
    documents = [DOCUMENT] * 10
    calls = []
    for number in range(10_000):
        condition = NumericCondition(("gone", f"p{number % 50}"), NumericOperator.GT, float(number))
        index.add(Rule.of([condition]), number)
        if number in (9, 9_999):
            calls_of(index, documents)
            calls.append(calls_of(index, documents))
    assert calls[1] == calls[0]


def test_what_all_rules_match_takes_bounded_memory() -> None:
    """Each of 20,000 rules matches each of 256 records: five million matches, and no more at once than is returned."""
    index: RuleIndex[int] = RuleIndex()
    for number in range(20_000):
        index.add(compile_where(f"temperature=gt:{-number};"), number)
    index.match(DOCUMENT)
    tracemalloc.start()
    try:
        found = index.match_all([DOCUMENT] * 256)
        returned, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert {member for entry in found for member in entry.members} == set(range(20_000))
    assert all(rows == list(range(256)) for rows in found.values())
    assert peak - returned < 150e6


def test_a_rule_may_have_thousands_of_conditions() -> None:
    """Alone, and among others."""
    long = "".join(f"p{number}=nin:x;" for number in range(5000))
    index = index_of(long)
    for number in range(10):
        assert members(index, {"a": number}) == [long]
        assert members(index, {"p4999": "x"}) == []
        index.add(compile_where(f"a=gt:{number + 100};"), f"a=gt:{number + 100};")


def test_an_emptied_index_is_as_good_as_new() -> None:
    """What thousands of rules have built goes with them."""
    index: RuleIndex[int] = RuleIndex()
    work = workload("mix", 5000, records=20)
    documents = [orjson.loads(payload) for payload in work.payloads]
    new = calls_of(index, documents)
    for number, rule in enumerate(work.rules):
        index.add(rule, number)
    assert calls_of(index, documents) > new
    leaving = list(enumerate(work.rules))
    random.Random(5).shuffle(leaving)
    for number, rule in leaving:
        index.remove(rule, number)
    assert calls_of(index, documents) == new


def test_drifting_ranges_match_as_each_alone() -> None:
    """Many thousand narrow ranges that come at one end and go at the other, so that buckets are cut and merged."""
    draw = random.Random(7)
    index: RuleIndex[int] = RuleIndex()
    current: list[Rule] = []
    for number in range(30_000):
        low = number + draw.uniform(0, 5000)
        high = low + draw.choice((1, 5, 2000))
        rule = Rule.of(
            [NumericCondition(("n",), NumericOperator.GT, low), NumericCondition(("n",), NumericOperator.LTE, high)]
        )
        current.append(rule)
        index.add(rule, 0)
        if number >= 15_000:
            index.remove(current[number - 15_000], 0)
        if number % 1000 == 999:
            document = {"n": number - draw.uniform(-5000, 15_000)}
            expected = [rule for rule in current[-15_000:] if rule.matches(document)]
            assert sorted(entry.rule.canonical for entry in index.match(document)) == sorted(
                rule.canonical for rule in expected
            )
