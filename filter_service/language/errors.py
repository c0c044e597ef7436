"""What can be wrong with a `where` or `fields` text, and where in it.

    LanguageError
    ├── InvalidSyntaxError     4000  `invalid syntax`
    ├── InvalidOperatorError   4001  `invalid operator '<op>'`
    ├── InvalidEscapeError     4002  `invalid escape value \\<c>`
    ├── InvalidArityError      4003  `invalid arity <n> for '<op>'`
    └── InvalidValueError      4004  `invalid value <v> for operator '<op>'`

Codes are the numbers of `kafka_ws.filter.v1.RejectionCode`, equal to the WebSocket close codes; reasons are those of
behaviour, sections 5 and 8, and not cut to the length of a close frame. Raised by `compiler` and `parser`, turned into
`Rejection` messages by the gRPC servicer.
"""

from __future__ import annotations

from typing import ClassVar, Literal

Part = Literal["where", "fields"]
"""Which text of a query an error speaks of."""

_EXCERPT = 40
"""Characters shown on either side of an error, so that a drawing fits a terminal whatever the length of the text."""


class LanguageError(Exception):
    """Base of all errors of the query language.

    Args:
        reason: one line for the person who wrote the text.
        part: the text it is about.
        offset: first code point of the offending piece, from 0; the text's length when its end came too early.
        length: number of code points of that piece; 0 when something is missing at `offset`.
    """

    code: ClassVar[int]

    def __init__(self, reason: str, part: Part, offset: int, length: int) -> None:
        """Keeps what is wrong and where."""
        super().__init__(reason)
        self.reason = reason
        self.part: Part = part
        self.offset = offset
        self.length = length

    def drawn(self, text: str) -> str:
        """Shows the offending piece of `text`, underlined, in two lines and the reason below.

        Args:
            text: the text that was compiled.
        """
        begin = max(0, self.offset - _EXCERPT)
        end = min(len(text), self.offset + _EXCERPT)
        before, after = "…" if begin else "", "…" if end < len(text) else ""
        excerpt = "".join(character if character.isprintable() else "·" for character in text[begin:end])
        carets = "^" * max(1, min(self.length, end - self.offset))
        return f"{before}{excerpt}{after}\n{' ' * (len(before) + self.offset - begin)}{carets}\n{self.reason}"


class InvalidSyntaxError(LanguageError):
    """The text does not follow the grammar."""

    code = 4000

    def __init__(self, part: Part, offset: int, length: int) -> None:
        """Says where the grammar was left."""
        super().__init__("invalid syntax", part, offset, length)


class InvalidOperatorError(LanguageError):
    """A condition names an operator that does not exist."""

    code = 4001

    def __init__(self, operator: str, offset: int) -> None:
        """Names the operator."""
        super().__init__(f"invalid operator '{operator}'", "where", offset, len(operator))
        self.operator = operator


class InvalidEscapeError(LanguageError):
    """A quoted value escapes a letter that means nothing."""

    code = 4002

    def __init__(self, letter: str, offset: int) -> None:
        """Names the letter; `offset` is that of the backslash before it."""
        super().__init__(f"invalid escape value \\{letter}", "where", offset, 1 + len(letter))


class InvalidArityError(LanguageError):
    """An operator got another number of values than it takes."""

    code = 4003

    def __init__(self, count: int, operator: str, offset: int, length: int) -> None:
        """Says how many values there are."""
        super().__init__(f"invalid arity {count} for '{operator}'", "where", offset, length)


class InvalidValueError(LanguageError):
    """A value is not of the operator's type."""

    code = 4004

    def __init__(self, value: str, operator: str, offset: int, length: int) -> None:
        """Shows the value, unescaped."""
        super().__init__(f"invalid value {value} for operator '{operator}'", "where", offset, length)
