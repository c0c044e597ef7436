"""The form of a `where` text: what is left when every run of ordinary characters is cut down to one of them.

    temperature=gte:25.5;status=in:ok;   ─▶   A=gte:A.A;A=in:A;

To the grammar of `where` all ordinary characters are alike, and one is as good as many. So texts of one form parse
alike, and `parser` parses a form once: a thousand dashboards mostly ask in a handful of forms. Only operators are
kept as they are. Pure; used by `parser`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from filter_service.language.tree import ConditionNode, Value

_ORDINARY = "A"
"""Stands for a run. No lower-case letter: `=abC:` names no operator, and `=a:` would."""

# Whatever WhereLexer.g4 names is a piece of its own, with control characters and separators of lines, which it does
# not name everywhere; and so is what may be an operator.
_PIECES = re.compile('(=[a-z]+:)|([^=;,:".\\\\\x00-\x1f\x7f-\x9f\u2028\u2029]+)|.', re.DOTALL)
_OPERATOR, _RUN = 1, 2


def form_of(text: str) -> tuple[str, list[int]]:
    """The form of a text, and for each code point of it, and its end, the offset in the text."""
    pieces: list[str] = []
    begins: list[int] = []
    for match in _PIECES.finditer(text):
        begin, end = match.span()
        if match.lastindex == _RUN:
            pieces.append(_ORDINARY)
            begins.append(begin)
        elif match.lastindex == _OPERATOR:
            pieces.append(match.group())
            begins += range(begin, end)
        else:
            pieces.append(text[begin])
            begins.append(begin)
    begins.append(len(text))
    return "".join(pieces), begins


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a form: offsets of its first code point and of the one behind it."""

    begin: int
    end: int

    def of(self, text: str, begins: Sequence[int]) -> str:
        """The piece of a text of that form."""
        return text[begins[self.begin] : begins[self.end]]


@dataclass(frozen=True, slots=True)
class ConditionForm:
    """A condition in a form.

    Attributes:
        path: of each step.
        operator: a known operator; `eq` where none is written.
        values: of each value, and whether it stands in quotes, which are left out.
        whole: of all values.
    """

    path: tuple[Span, ...]
    operator: str
    values: tuple[tuple[Span, bool], ...]
    whole: Span

    def of(self, text: str, begins: Sequence[int]) -> ConditionNode:
        """The condition in a text of that form.

        Args:
            text: the text.
            begins: as `form_of` returns it.
        """
        offset = begins[self.whole.begin]
        return ConditionNode(
            path=tuple([span.of(text, begins) for span in self.path]),
            operator=self.operator,
            values=tuple([Value(span.of(text, begins), quoted, begins[span.begin]) for span, quoted in self.values]),
            offset=offset,
            length=begins[self.whole.end] - offset,
        )
