"""Compiles queries so that a long one holds nobody up.

Used by the servicer and `subscriptions`, on the event loop. Short queries, nearly all, are compiled there: that takes
less than handing them over. A text of 64 KB takes seconds, of one core that event loop and readers need as well (one
thread of Python runs at a time). So few threads compile, however many texts wait, and the longest wait by themselves.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from filter_service.language import InvalidSyntaxError, Rule, Selection, compile_fields, compile_where

INLINE_LENGTH = 512
"""Longest query compiled on the event loop, in characters of both texts."""

MEDIUM_LENGTH = 8 * 1024
"""Longest query that does not wait for others that take seconds."""

THREAD_NAME = "compile"
_medium = ThreadPoolExecutor(1, thread_name_prefix=f"{THREAD_NAME}-medium")
_long = ThreadPoolExecutor(1, thread_name_prefix=f"{THREAD_NAME}-long")


async def compile_query(where: str, fields: str, max_length: int) -> tuple[Rule, Selection | None]:
    """The compiled query.

    Raises:
        LanguageError: it is wrong, or longer than `max_length` characters.
    """
    if len(where) > max_length:
        raise InvalidSyntaxError("where", max_length, len(where) - max_length)
    if len(fields) > max_length:
        raise InvalidSyntaxError("fields", max_length, len(fields) - max_length)
    length = len(where) + len(fields)
    if length <= INLINE_LENGTH:
        return _compile(where, fields)
    thread = _medium if length <= MEDIUM_LENGTH else _long
    return await asyncio.get_running_loop().run_in_executor(thread, _compile, where, fields)


def _compile(where: str, fields: str) -> tuple[Rule, Selection | None]:
    return compile_where(where), compile_fields(fields)
