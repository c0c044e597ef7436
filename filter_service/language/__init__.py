"""The query language: `where` picks records, `fields` cuts them down.

    text ──parser──▶ tree ──compiler──▶ Rule / Selection      or a LanguageError that points into the text

The grammars are in `*.g4`; ANTLR writes `generated/` from them (`make generate`).
"""

from filter_service.language.compiler import compile_fields, compile_where
from filter_service.language.errors import (
    InvalidArityError,
    InvalidEscapeError,
    InvalidOperatorError,
    InvalidSyntaxError,
    InvalidValueError,
    LanguageError,
    Part,
)
from filter_service.language.rule import (
    BooleanCondition,
    Condition,
    NumericCondition,
    NumericOperator,
    Rule,
    TextCondition,
)
from filter_service.language.selection import WILDCARD, Members, Selection

__all__ = [
    "WILDCARD",
    "BooleanCondition",
    "Condition",
    "InvalidArityError",
    "InvalidEscapeError",
    "InvalidOperatorError",
    "InvalidSyntaxError",
    "InvalidValueError",
    "LanguageError",
    "Members",
    "NumericCondition",
    "NumericOperator",
    "Part",
    "Rule",
    "Selection",
    "TextCondition",
    "compile_fields",
    "compile_where",
]
