"""The door to ANTLR: text in, syntax tree or the leftmost error out. Nothing else imports `antlr4` or `generated`.

Called by `compiler`, from several threads. The generated lexers share their automata between calls, so that they are
computed once per process; they are only ever added to, and what two threads find out at once is the same.

Time is linear in the length of the text: the grammars are LL(1), reading stops at the first error, and every text is
bounded in length and nesting before the (recursive) parser sees it. ANTLR takes a third of a millisecond for a usual
`where`, so what it made of a form (see `form`) is remembered: the next text of that form takes 30 µs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import takewhile
from typing import Any

from antlr4 import CommonTokenStream, InputStream, Parser, Token
from antlr4.error.Errors import ParseCancellationException
from antlr4.error.ErrorStrategy import BailErrorStrategy

from filter_service.language.errors import InvalidOperatorError, InvalidSyntaxError, Part
from filter_service.language.form import ConditionForm, Span, form_of
from filter_service.language.generated.FieldsLexer import FieldsLexer
from filter_service.language.generated.FieldsParser import FieldsParser
from filter_service.language.generated.FieldsVisitor import FieldsVisitor
from filter_service.language.generated.WhereLexer import WhereLexer
from filter_service.language.generated.WhereParser import WhereParser
from filter_service.language.generated.WhereParserVisitor import WhereParserVisitor
from filter_service.language.tree import ConditionNode, MemberNode

MAX_LENGTH = 65_536
"""Code points of a text: what fits into an HTTP request head. Bounds the time that one text can take."""

MAX_DEPTH = 100
"""Levels of a selection, slashes and parentheses alike. Python's stack holds 1,000 calls, and parsing, freezing and
projecting take a few per level; records that are nested deeper than this are not known."""

_REMEMBERED_FORMS = 1024
_REMEMBERED_LENGTH = 512
"""Forms of `where` texts that are parsed once, and how long they may be: some megabytes at most."""


def parse_where(text: str) -> tuple[ConditionNode, ...]:
    """The conditions of a `where` text, in its order.

    Raises:
        InvalidSyntaxError, InvalidOperatorError: whichever comes first in the text.
    """
    _check_length("where", text)
    form, begins = form_of(text)
    try:
        conditions = _known_form(form) if len(form) <= _REMEMBERED_LENGTH else parse_form(form)
    except InvalidSyntaxError as error:
        begin, end = begins[error.offset], begins[error.offset + error.length]
        raise InvalidSyntaxError("where", begin, end - begin) from None
    except InvalidOperatorError as error:
        raise InvalidOperatorError(error.operator, begins[error.offset]) from None
    return tuple([condition.of(text, begins) for condition in conditions])


def parse_form(form: str) -> tuple[ConditionForm, ...]:
    """The conditions of a form. Any text is a form; it is only longer than it had to be.

    Raises:
        InvalidSyntaxError, InvalidOperatorError: as `parse_where`; places are those in the form.
    """
    tokens = _tokens(WhereLexer, form)
    error = None
    try:
        tree = _run(WhereParser, tokens, WhereParser.where)
    except ParseCancellationException as cancellation:
        error = cancellation.args[0].offendingToken
    # What precedes an error is well-formed, so an unknown operator there stands where an operator belongs.
    for token in takewhile(lambda token: token is not error, tokens.tokens):
        if token.type == WhereParser.EQUALS_UNKNOWN:
            raise InvalidOperatorError(_operator(form, token), token.start + 1)
    if error is not None:
        raise _syntax_error("where", form, error)
    return _WhereTree(form).visitWhere(tree)


_known_form = lru_cache(_REMEMBERED_FORMS)(parse_form)


def parse_fields(text: str) -> tuple[MemberNode, ...]:
    """The items of a `fields` text, in its order.

    Raises:
        InvalidSyntaxError: at the leftmost place where the text leaves the grammar, or nests deeper than MAX_DEPTH.
    """
    _check_length("fields", text)
    # Without what follows the parenthesis that is too deep, the text is unbalanced: an error there, or before.
    tokens = _tokens(FieldsLexer, text[: _too_deep(text)])
    try:
        tree = _run(FieldsParser, tokens, FieldsParser.fields)
    except ParseCancellationException as cancellation:
        raise _syntax_error("fields", text, cancellation.args[0].offendingToken) from None
    return _FieldsTree(text).visitMembers(tree.members(), depth=0)


class _WhereTree(WhereParserVisitor):  # type: ignore[misc]  # generated code is not typed
    """Turns ANTLR's tree of contexts into ours."""

    def __init__(self, form: str) -> None:
        self._form = form

    def visitWhere(self, ctx: WhereParser.WhereContext) -> tuple[ConditionForm, ...]:  # noqa: N802
        return tuple([self.visitCondition(condition) for condition in ctx.condition()])

    def visitCondition(self, ctx: WhereParser.ConditionContext) -> ConditionForm:  # noqa: N802
        path, equals, values, end = ctx.children
        begin = equals.symbol.stop + 1
        return ConditionForm(
            path=self.visitPath(path),
            operator=_operator(self._form, equals.symbol),
            values=self.visitValues(values, begin),
            whole=Span(begin, end.symbol.start),
        )

    def visitPath(self, ctx: WhereParser.PathContext) -> tuple[Span, ...]:  # noqa: N802
        return tuple([Span(step.symbol.start, step.symbol.stop + 1) for step in ctx.children[::2]])

    def visitValues(self, ctx: Any, begin: int) -> tuple[tuple[Span, bool], ...]:  # noqa: N802
        """Values of `values` and `items` contexts; every comma not followed by a value is followed by an empty one."""
        values: list[tuple[Span, bool]] = []
        empty: tuple[Span, bool] | None = (Span(begin, begin), False)
        for child in ctx.children:
            if isinstance(child, WhereParser.ValueContext):
                values.append(self.visitValue(child))
                empty = None
            else:
                if empty is not None:
                    values.append(empty)
                after = child.symbol.stop + 1
                empty = (Span(after, after), False)
        if empty is not None:
            values.append(empty)
        return tuple(values)

    def visitValue(self, ctx: WhereParser.ValueContext) -> tuple[Span, bool]:  # noqa: N802
        token = ctx.children[0].symbol
        quoted = token.type == WhereParser.QUOTED
        return Span(token.start + quoted, token.stop + 1 - quoted), quoted


class _FieldsTree(FieldsVisitor):  # type: ignore[misc]  # generated code is not typed
    """Turns ANTLR's tree of contexts into ours."""

    def __init__(self, text: str) -> None:
        self._text = text

    def visitMembers(self, ctx: FieldsParser.MembersContext, depth: int) -> tuple[MemberNode, ...]:  # noqa: N802
        return tuple([self.visitMember(member, depth) for member in ctx.children[::2]])

    def visitMember(self, ctx: FieldsParser.MemberContext, depth: int) -> MemberNode:  # noqa: N802
        names = [child.symbol for child in ctx.children if getattr(child, "symbol", None) is not None]
        names = [token for token in names if token.type == FieldsParser.NAME]
        depth += len(names)
        if depth > MAX_DEPTH:
            raise _syntax_error("fields", self._text, names[MAX_DEPTH - depth])
        members = ctx.members()
        return MemberNode(
            names=tuple([_text_of(self._text, token) for token in names]),
            members=() if members is None else self.visitMembers(members, depth),
        )


_BEYOND_ASCII = re.compile("[\x7f-\U0010ffff]")


def _representative(match: re.Match[str]) -> str:
    character = match.group()
    if character <= "\x9f":
        return "\x01"
    return "\n" if character in "\u2028\u2029" else "A"


class _CodePoints(InputStream):  # type: ignore[misc]  # antlr4 is not typed
    """A text as the lexers see it.

    The lexers remember what they have found out about code points up to U+007F only, and compute it anew for every
    other one, which is a hundred times slower. To the grammars, code points above U+007E are of three kinds, so
    one that is remembered stands for each: control characters, line separators, and letters.
    """

    def _loadString(self) -> None:  # noqa: N802
        self._index = 0
        self.data = _BEYOND_ASCII.sub(_representative, self.strdata).encode("ascii")
        self._size = len(self.data)


class _StopAtFirstError(BailErrorStrategy):  # type: ignore[misc]  # antlr4 is not typed
    """Neither prints nor repairs."""

    def reportError(self, recognizer: Parser, e: Exception) -> None:  # noqa: N802
        """Does nothing: the error is raised."""


def _tokens(lexer_class: type[Any], text: str) -> CommonTokenStream:
    lexer = lexer_class(_CodePoints(text))
    lexer.removeErrorListeners()
    return CommonTokenStream(lexer)


def _run(parser_class: type[Any], tokens: CommonTokenStream, start: Callable[[Any], Any]) -> Any:
    parser = parser_class(tokens)
    parser.removeErrorListeners()
    parser._errHandler = _StopAtFirstError()
    return start(parser)


def _check_length(part: Part, text: str) -> None:
    if len(text) > MAX_LENGTH:
        raise InvalidSyntaxError(part, MAX_LENGTH, len(text) - MAX_LENGTH)


def _too_deep(text: str) -> int:
    """Offset of the first parenthesis that opens more than MAX_DEPTH levels; the text's length when none does."""
    depth = 0
    for match in re.finditer(r"[()]", text):
        depth += 1 if match.group() == "(" else -1
        if depth > MAX_DEPTH:
            return match.start()
    return len(text)


def _syntax_error(part: Part, text: str, token: Token) -> InvalidSyntaxError:
    return InvalidSyntaxError(part, token.start, len(_text_of(text, token)))


def _text_of(text: str, token: Token) -> str:
    return text[token.start : token.stop + 1]


def _operator(text: str, token: Token) -> str:
    return text[token.start + 1 : token.stop] or "eq"
