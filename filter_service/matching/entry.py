"""A rule in the index, with those who want what it matches.

Made and kept by `rule_index`; what `RuleIndex.match` and `match_all` return.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from filter_service import values
from filter_service.language import Condition, Rule
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
        others: for the index: conditions that no column looks up.
        block, slot: for the index: where the rule is; None when it matches every record, or none.
        key: for the index: rules with keys close together match the same records, more or less.
    """

    __slots__ = ("block", "columns", "key", "members", "needs", "others", "rule", "slot", "terms")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.members: dict[M, None] = {}
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


Found = defaultdict[RuleEntry[M], list[int]]
"""The rules that match some of a number of records, and the rows of these, increasing."""
