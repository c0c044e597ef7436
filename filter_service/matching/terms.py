"""A rule as the index sees it: one term per path and kind of value, instead of conditions.

    temp=gt:5;temp=lte:9;  ─▶ Range(temp, 5.000000000000001, 9)        temp=eq:5;     ─▶ Keys(temp, wanted 5)
    state=in:ok,up;        ─▶ Keys(state, wanted ok, up)        open=bool:1;   ─▶ Truth(open, True)

Made by `rule_index` when a rule is added. Pure functions; terms are never changed. What terms say together is what the
conditions say together (`NumericCondition`, `TextCondition` and `BooleanCondition` of `language.rule`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from filter_service.language import BooleanCondition, Condition, NumericCondition, NumericOperator, Rule, TextCondition

Steps = tuple[str, ...]
"""A path, as `values.find` takes it."""


@dataclass(slots=True, eq=False)
class Range:
    """A number from `low` to `high`, both included, is at the path.

    Attributes:
        low, high: -inf and inf where there is no bound; `low` < `high`.
    """

    path: Steps
    low: float
    high: float

    demanding = True

    @property
    def above(self) -> float:
        """The number after `high`; inf when there is none."""
        return math.nextafter(self.high, math.inf)

    @property
    def is_bounded(self) -> bool:
        """Whether there are two bounds."""
        return self.low > -math.inf and self.high < math.inf


@dataclass(slots=True, eq=False)
class Keys:
    """One of `wanted`, if there are any, and none of `unwanted` is at the path.

    Numbers are there as values, so that what is no number fails even if nothing is wanted; texts are contained in the
    value's text, and what has no text passes if nothing is wanted.

    Attributes:
        texts: whether the keys are texts.
    """

    path: Steps
    texts: bool
    wanted: tuple[float | str, ...]
    unwanted: tuple[float | str, ...]

    @property
    def demanding(self) -> bool:
        """Whether a record without the path fails."""
        return bool(self.wanted) or not self.texts


@dataclass(slots=True, eq=False)
class Truth:
    """The truth value `expected` is at the path."""

    path: Steps
    expected: bool

    demanding = True


Term = Range | Keys | Truth


@dataclass(slots=True, eq=False)
class Terms:
    """What a rule demands.

    Attributes:
        indexed: at most one per path and kind.
        others: conditions that are looked at one by one, for records that pass all terms.
    """

    indexed: tuple[Term, ...]
    others: tuple[Condition, ...]


def terms_of(rule: Rule) -> Terms | None:
    """The rule's terms; None when it demands what no record can fulfil."""
    numeric: dict[Steps, list[NumericCondition]] = {}
    textual: dict[Steps, list[TextCondition]] = {}
    truths: dict[Steps, bool] = {}
    for condition in rule.conditions:
        if type(condition) is NumericCondition:
            numeric.setdefault(condition.path, []).append(condition)
        elif type(condition) is TextCondition:
            textual.setdefault(condition.path, []).append(condition)
        elif type(condition) is BooleanCondition and truths.setdefault(condition.path, condition.expected) is not (
            condition.expected
        ):
            return None
    indexed: list[Term] = [Truth(path, expected) for path, expected in truths.items()]
    others: list[Condition] = []
    for path, numerics in numeric.items():
        terms = _numeric_terms(path, numerics)
        if terms is None:
            return None
        indexed += terms
    for path, texts in textual.items():
        wanted = [condition for condition in texts if not condition.negated]
        unwanted = {item for condition in texts if condition.negated for item in condition.items}
        indexed.append(Keys(path, True, wanted[0].items if wanted else (), tuple(sorted(unwanted))))
        others += wanted[1:]
    return Terms(tuple(indexed), tuple(others))


def _numeric_terms(path: Steps, conditions: list[NumericCondition]) -> list[Term] | None:
    """A range or a number, and numbers that it must not be; None when nothing is left."""
    low, high = -math.inf, math.inf
    unwanted: tuple[float, ...] = ()
    for condition in conditions:
        operand = condition.operand
        operator = condition.operator
        if operator is NumericOperator.NEQ:
            unwanted += (operand,)
        elif operator is NumericOperator.GT:
            low = max(low, math.nextafter(operand, math.inf))
        elif operator is NumericOperator.LT:
            high = min(high, math.nextafter(operand, -math.inf))
        else:
            if operator is not NumericOperator.LTE:
                low = max(low, operand)
            if operator is not NumericOperator.GTE:
                high = min(high, operand)
    if unwanted:
        unwanted = tuple(sorted({number for number in unwanted if low <= number <= high}))
    if low > high or (low == high and unwanted):
        return None
    if low == high:
        return [Keys(path, False, (low,), ())]
    terms: list[Term] = [Keys(path, False, (), unwanted)] if unwanted else []
    if not unwanted or low > -math.inf or high < math.inf:
        terms.append(Range(path, low, high))
    return terms
