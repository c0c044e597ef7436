"""The rule index against rules asked one by one, while rules come and go.

That a single rule matches what the contract says is shown in `test_language`; here `Rule.matches` is the oracle.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from filter_service.documents import read_members
from filter_service.language import (
    BooleanCondition,
    Condition,
    NumericCondition,
    NumericOperator,
    Rule,
    TextCondition,
    compile_where,
)
from filter_service.matching import RuleIndex
from filter_service.record import Document, parse
from tests.properties import strategies


class Watched:
    """A rule index, and beside it what was added to it."""

    def __init__(self) -> None:
        self.index: RuleIndex[int] = RuleIndex()
        self.members: dict[Rule, list[int]] = defaultdict(list)
        self.added = 0

    def add(self, rule: Rule) -> None:
        self.added += 1
        self.index.add(rule, self.added)
        self.members[rule].append(self.added)

    def remove(self, rule: Rule, member: int) -> None:
        self.index.remove(rule, member)
        self.members[rule].remove(member)
        if not self.members[rule]:
            del self.members[rule]

    def check(self, *documents: Any) -> None:
        """One by one, all at once, and with no more of each parsed than rules look at."""
        assert len(self.index) == len(self.members)
        together = self.index.match_all(documents)
        assert all(rows == sorted(set(rows)) for rows in together.values())
        for row, document in enumerate(documents):
            expected = {rule: members for rule, members in self.members.items() if rule.matches(document)}
            assert {entry.rule: sorted(entry.members) for entry in self.index.match(document)} == expected
            assert {entry.rule for entry, rows in together.items() if row in rows} == set(expected)
        payloads = [json.dumps(document).encode() for document in documents]
        members = read_members(payloads, self.index.names)
        if members is not None:
            assert self.index.match_all(members) == self.index.match_all(list(map(_parsed, payloads)))


def _parsed(payload: bytes) -> Document:
    record = parse(payload)
    assert record is not None
    return record.document


class FewRules(RuleBasedStateMachine):
    """Rules and documents of every form."""

    @initialize()
    def begin(self) -> None:
        self.watched = Watched()
        self.documents: list[Any] = [{"a": 5}]

    @rule(where=strategies.wheres)
    def add(self, where: str) -> None:
        self.watched.add(compile_where(where))

    @rule(data=st.data())
    def add_equal(self, data: st.DataObject) -> None:
        if self.watched.members:
            self.watched.add(data.draw(st.sampled_from(list(self.watched.members))))

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        if self.watched.members:
            chosen = data.draw(st.sampled_from(list(self.watched.members)))
            self.watched.remove(chosen, data.draw(st.sampled_from(self.watched.members[chosen])))

    @rule(document=strategies.documents)
    def look(self, document: Any) -> None:
        self.documents.append(document)

    @invariant()
    def agrees(self) -> None:
        self.watched.check(*self.documents[-5:])
        last = self.documents[-1]
        self.watched.check(last, *(_like(random.Random(seed), last, 10) for seed in range(3)))


FewRules.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestFewRules = FewRules.TestCase


_CHECKED = 0.005
"""Chance of a check after a change of many rules: each asks all rules one by one."""

_SLICE = 50
"""Records that are alike, in many of which there is the same here or there: what is said of them is found together."""

PATHS = (("n",), ("m",), ("text",), ("deep", "0", "n"), ("deep", "1", "text"), ("only", "here"))


def _number(draw: random.Random, spread: int) -> float:
    return round(draw.uniform(0, spread), draw.choice((0, 0, 3)))


def _text(draw: random.Random, spread: int) -> str:
    letters = "ab" if spread < 50 else "abcdefgé𝄞"
    return "".join(draw.choices(letters, k=draw.randint(0, 8)))


def _conditions(draw: random.Random, spread: int) -> list[Condition]:
    path = draw.choice(PATHS)
    kind = draw.randrange(5)
    if kind == 0:
        return [NumericCondition(path, draw.choice(list(NumericOperator)), _number(draw, spread))]
    if kind == 1:
        low, high = sorted((_number(draw, spread), _number(draw, spread)))
        return [
            NumericCondition(path, draw.choice((NumericOperator.GT, NumericOperator.GTE)), low),
            NumericCondition(path, draw.choice((NumericOperator.LT, NumericOperator.LTE)), high),
        ]
    if kind == 2:
        low = _number(draw, spread)
        return [
            NumericCondition(path, NumericOperator.GTE, low),
            NumericCondition(path, NumericOperator.LT, low + draw.uniform(0, spread / 100)),
        ]
    if kind == 3:
        items = tuple(sorted({_text(draw, spread) for _ in range(draw.randint(1, 3))}))
        return [TextCondition(path, draw.random() < 0.2, items)]
    return [BooleanCondition(path, draw.random() < 0.5)]


def _rule(draw: random.Random, spread: int) -> Rule:
    conditions = [condition for _ in range(draw.choice((0, 1, 1, 2, 2, 3))) for condition in _conditions(draw, spread)]
    return Rule.of(conditions)


def _scalar(draw: random.Random, spread: int) -> object:
    return draw.choice(
        (
            _number(draw, spread),
            draw.randrange(spread),
            str(draw.randrange(spread)),
            "".join(_text(draw, spread) for _ in range(draw.choice((1, 2, 300)))),
            draw.random() < 0.5,
            None,
        )
    )


def _document(draw: random.Random, spread: int) -> dict[str, object]:
    document: dict[str, object] = {name: _scalar(draw, spread) for name in ("n", "m", "text", "other")}
    document["deep"] = [{"n": _scalar(draw, spread)}, {"text": _scalar(draw, spread)}][: draw.randrange(3)]
    if draw.random() < 0.2:
        document["only"] = {"here": _scalar(draw, spread)}
    return {name: value for name, value in document.items() if draw.random() < 0.9}


def _like(draw: random.Random, value: Any, spread: int) -> Any:
    """A value with scalars of the same kinds at the same places."""
    if isinstance(value, dict):
        return {name: _like(draw, member, spread) for name, member in value.items()}
    if isinstance(value, list):
        return [_like(draw, element, spread) for element in value]
    if isinstance(value, bool):
        return draw.random() < 0.5
    if isinstance(value, int | float):
        return draw.choice((draw.randrange(spread), _number(draw, spread), draw.randrange(2), 10**400))
    if isinstance(value, str):
        return draw.choice((_text(draw, spread), str(draw.randrange(spread)), "true"))
    return value


@given(
    seed=st.integers(0, 2**32),
    spread=st.sampled_from((2, 10, 100, 10_000)),
    sizes=st.lists(st.integers(0, 2500), min_size=1, max_size=4),
)
@settings(max_examples=25)
def test_many_rules_match_as_each_alone(seed: int, spread: int, sizes: list[int]) -> None:
    """Thousands of rules that come and go match what each of them matches."""
    draw = random.Random(seed)
    watched = Watched()
    for size in sizes:
        shuffled = draw.sample(list(watched.members), len(watched.members))
        for chosen in shuffled[size:]:
            for member in list(watched.members[chosen]):
                watched.remove(chosen, member)
            if draw.random() < _CHECKED:
                watched.check(_document(draw, spread))
        for _ in range(size - len(watched.members)):
            watched.add(_rule(draw, spread))
            if draw.random() < _CHECKED:
                watched.check(_document(draw, spread))
        for _ in range(5):
            document = _document(draw, spread)
            watched.check(document, _like(draw, document, spread), _like(draw, document, spread))
        watched.check(*(_document(draw, spread) for _ in range(5)))
    document = _document(draw, spread)
    watched.check(*(_like(draw, document, draw.choice((2, spread))) for _ in range(_SLICE)))
