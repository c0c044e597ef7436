"""A rule in the index, with those who want what it matches.

Made and kept by `rule_index`; what `RuleIndex.match` returns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from filter_service import values
from filter_service.language import Condition, Rule
from filter_service.matching.predicate import Predicate
from filter_service.matching.terms import Term

if TYPE_CHECKING:
    from filter_service.matching.blocks import Block
    from filter_service.matching.columns import Column

M = TypeVar("M")


class RuleEntry(Generic[M]):
    """A rule and the members (subscriptions) that share it.

    Attributes:
        rule: the rule.
        members: those who were added with the rule, as keys, in that order.
        terms, columns: for the index: what the rule demands, and what looks each of that up.
        needs: for the index: how many of the terms fail where their path is missing.
        predicate: for the index: asks the rule by itself; while there are few.
        others: for the index: conditions that no column looks up.
        block, slot: for the index: where the rule is; None when it matches every record, or none.
        key: for the index: rules with keys close together match the same records, more or less.
    """

    __slots__ = ("block", "columns", "key", "members", "needs", "others", "predicate", "rule", "slot", "terms")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.members: dict[M, None] = {}
        self.predicate: Predicate = rule.matches
        self.terms: tuple[Term, ...] = ()
        self.columns: tuple[Column[Any], ...] = ()
        self.needs = 0
        self.others: tuple[Condition, ...] = ()
        self.block: Block | None = None
        self.slot = 0
        self.key: tuple[int | float | str, ...] = ()

    def holds(self, document: object) -> bool:
        """Whether the conditions hold that no column looks up."""
        return all(condition.matches(values.find(document, condition.path)) for condition in self.others)
