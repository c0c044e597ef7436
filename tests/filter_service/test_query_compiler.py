"""Who compiles which query."""

import asyncio
import threading

import pytest

from filter_service.language import LanguageError, compile_fields, compile_where
from filter_service.query_compiler import INLINE_LENGTH, MEDIUM_LENGTH, THREAD_NAME, compile_query

LIMIT = 65_536


def text(length: int, number: int = 0) -> str:
    """A `where` of some length, unlike those with other numbers."""
    return f"a=in:{number}," + "b" * (length - 7 - len(str(number))) + ";"


@pytest.mark.parametrize("length", [0, INLINE_LENGTH, INLINE_LENGTH + 1, MEDIUM_LENGTH + 1])
async def test_same_result_whoever_compiles(length: int) -> None:
    """A query of any length becomes the same rule and selection as when it is compiled directly."""
    where = text(length) if length else ""
    compiled = await compile_query(where, "a/b", LIMIT)
    assert compiled == (compile_where(where), compile_fields("a/b"))


@pytest.mark.parametrize("length", [100, INLINE_LENGTH + 100, MEDIUM_LENGTH + 100])
async def test_same_errors_whoever_compiles(length: int) -> None:
    """An error comes back from wherever it was found."""
    with pytest.raises(LanguageError) as error:
        await compile_query(text(length) + "?", "", LIMIT)
    assert (error.value.code, error.value.offset) == (4000, length + 1)


async def test_few_threads_compile() -> None:
    """However many long queries arrive at once, two threads compile: the rest of the process goes on."""
    await asyncio.gather(
        *(compile_query(text(INLINE_LENGTH + 1 + n % 2 * MEDIUM_LENGTH, n), "", LIMIT) for n in range(40))
    )
    compiling = [thread for thread in threading.enumerate() if thread.name.startswith((THREAD_NAME, "asyncio"))]
    assert len(compiling) == 2


async def test_longest_wait_by_themselves() -> None:
    """A query of ordinary length is not queued behind texts that take seconds."""
    longest = [asyncio.ensure_future(compile_query("a=1;" * 10_000 + f"a={n};", "", LIMIT)) for n in range(5)]
    await compile_query(text(INLINE_LENGTH + 1, 77), "", LIMIT)
    assert not longest[-1].done()
    for waiting in longest:
        waiting.cancel()
    await asyncio.gather(*longest, return_exceptions=True)
