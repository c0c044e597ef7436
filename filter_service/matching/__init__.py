"""The rule index: many rules, asked at once which of them match a record. `rule_index` is the way in."""

from filter_service.matching.entry import RuleEntry
from filter_service.matching.rule_index import RuleIndex

__all__ = ["RuleEntry", "RuleIndex"]
