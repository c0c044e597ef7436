"""Which rules match a record.

One index per topic and reader, used by that reader's thread only; it changes between batches, never during one.
Equal rules are one rule and equal conditions are evaluated once per record, whatever the number of subscriptions.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from filter_service import values
from filter_service.language import Condition, Rule

M = TypeVar("M")


class RuleEntry(Generic[M]):
    """A rule and the members (subscriptions) that share it."""

    __slots__ = ("members", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.members: list[M] = []


class RuleIndex(Generic[M]):
    """The rules of one topic."""

    def __init__(self) -> None:
        self._entries: dict[Rule, RuleEntry[M]] = {}
        self._unconditional: list[RuleEntry[M]] = []
        self._conditional: list[RuleEntry[M]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, rule: Rule, member: M) -> None:
        """Delivers what `rule` matches to `member` too."""
        entry = self._entries.get(rule)
        if entry is None:
            entry = self._entries[rule] = RuleEntry(rule)
            (self._conditional if rule.conditions else self._unconditional).append(entry)
        entry.members.append(member)

    def remove(self, rule: Rule, member: M) -> None:
        """Undoes `add`.

        Raises:
            KeyError, ValueError: the member was not added with this rule.
        """
        entry = self._entries[rule]
        entry.members.remove(member)
        if not entry.members:
            del self._entries[rule]
            (self._conditional if rule.conditions else self._unconditional).remove(entry)

    def match(self, document: object) -> list[RuleEntry[M]]:
        """The entries whose rule matches.

        Args:
            document: a parsed JSON object or array.
        """
        if not self._conditional:
            return self._unconditional
        verdicts: dict[Condition, bool] = {}
        found: dict[tuple[str, ...], object] = {}
        matching = list(self._unconditional)
        for entry in self._conditional:
            for condition in entry.rule.conditions:
                verdict = verdicts.get(condition)
                if verdict is None:
                    path = condition.path
                    if path in found:
                        value = found[path]
                    else:
                        value = found[path] = values.find(document, path)
                    verdict = verdicts[condition] = condition.matches(value)
                if not verdict:
                    break
            else:
                matching.append(entry)
        return matching
