"""Rules: what a `where` text means, as plain data.

Made by `compiler`; kept, compared and indexed by the rule sets of the readers, on their threads. Immutable. Equal
rules have equal canonical texts, whatever the order, repetition and spelling of their conditions. The meaning of
operators is that of behaviour, section 5.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from filter_service import values


class NumericOperator(StrEnum):
    """Operators that compare numbers."""

    EQ = "eq"
    NEQ = "neq"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"


_COMPARISONS: dict[NumericOperator, Callable[[float, float], bool]] = {
    NumericOperator.EQ: operator.eq,
    NumericOperator.NEQ: operator.ne,
    NumericOperator.GT: operator.gt,
    NumericOperator.GTE: operator.ge,
    NumericOperator.LT: operator.lt,
    NumericOperator.LTE: operator.le,
}


@dataclass(frozen=True, slots=True)
class NumericCondition:
    """The number at `path` compares so with `operand`; what is no number never matches, `neq` included.

    Attributes:
        path: steps to the value, as `values.find` takes them.
        operator: the comparison; the value stands on its left.
        operand: finite; never -0.0.
    """

    path: tuple[str, ...]
    operator: NumericOperator
    operand: float

    def matches(self, value: object) -> bool:
        """Whether the condition holds for what `values.find` found at its path."""
        number = values.numeric(value)
        return number is not None and _COMPARISONS[self.operator](number, self.operand)

    @property
    def canonical(self) -> str:
        """The condition as `where` text."""
        return f"{'.'.join(self.path)}={self.operator}:{values.text(self.operand)};"


@dataclass(frozen=True, slots=True)
class TextCondition:
    """The text at `path` contains one of `items`; or, negated, exactly the opposite, so that what is no text matches.

    Attributes:
        path: steps to the value, as `values.find` takes them.
        negated: `nin` instead of `in`.
        items: at least one, sorted, unique; an empty one is contained in every text.
    """

    path: tuple[str, ...]
    negated: bool
    items: tuple[str, ...]

    def matches(self, value: object) -> bool:
        """Whether the condition holds for what `values.find` found at its path."""
        text = values.text(value)
        if text is not None:
            for item in self.items:
                if item in text:
                    return not self.negated
        return self.negated

    @property
    def canonical(self) -> str:
        """The condition as `where` text."""
        return f"{'.'.join(self.path)}={'nin' if self.negated else 'in'}:{','.join(map(_written, self.items))};"


@dataclass(frozen=True, slots=True)
class BooleanCondition:
    """The truth value at `path` is `expected`; what is no truth value never matches.

    Attributes:
        path: steps to the value, as `values.find` takes them.
        expected: true or false.
    """

    path: tuple[str, ...]
    expected: bool

    def matches(self, value: object) -> bool:
        """Whether the condition holds for what `values.find` found at its path."""
        return values.boolean(value) is self.expected

    @property
    def canonical(self) -> str:
        """The condition as `where` text."""
        return f"{'.'.join(self.path)}=bool:{'true' if self.expected else 'false'};"


Condition = NumericCondition | TextCondition | BooleanCondition


@dataclass(frozen=True, slots=True)
class Rule:
    """A conjunction of conditions; without any, it matches every record.

    Attributes:
        canonical: `where` text that compiles to this rule; rules are equal when these are.
        conditions: unique, in the order of `canonical`.
    """

    canonical: str
    conditions: tuple[Condition, ...] = field(compare=False)

    @classmethod
    def of(cls, conditions: Iterable[Condition]) -> Rule:
        """The rule that demands these conditions, in whatever order and number they are given."""
        texts = {condition.canonical: condition for condition in conditions}
        ordered = sorted(texts)
        return cls("".join(ordered), tuple([texts[text] for text in ordered]))

    def matches(self, document: object) -> bool:
        """Whether every condition holds for a parsed JSON object or array: the plain reading, without an index."""
        return all(condition.matches(values.find(document, condition.path)) for condition in self.conditions)


_BARE = re.compile('[^,;"\n\r\u2028\u2029]+')
_TO_ESCAPE = re.compile('["\\\\\b\f\n\r\t\u2028\u2029]')
_ESCAPES = {"\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}


def _written(item: str) -> str:
    """An item of a set as `where` text, in quotes where it needs them."""
    if _BARE.fullmatch(item):
        return item
    return '"' + _TO_ESCAPE.sub(lambda match: "\\" + _ESCAPES.get(match.group(), match.group()), item) + '"'
