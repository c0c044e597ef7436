"""The language's effort is linear in the length of any text. Calls are counted, not time."""

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from filter_service.language import LanguageError, compile_fields, compile_where
from filter_service.language.parser import MAX_LENGTH

WHERE_PATTERNS = [
    "(",
    "a",
    "é",
    "a=1;",
    "a.",
    "=",
    ";",
    '"',
    "\\",
    'a="',
    'a="\\',
    'a=in:"x\\"',
    "a=in:b,",
    "a=in:b;",
    "=a:",
    "a=,",
    "\u2028",
]
FIELDS_PATTERNS = ["(", ")", "a(", "a/", "a,", "é", "*(", "a(b),", "*/a,", "*,", "/", "a)("]
SHORT, LONG = 2_000, 8_000


def calls_of(compiler: Callable[[str], object], text: str) -> int:
    """Number of calls of functions, Python's and C's, while a text is compiled."""
    count = 0

    def profile(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        compiler(text)
    except LanguageError:
        pass
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    ("compiler", "pattern"),
    [(compile_where, pattern) for pattern in WHERE_PATTERNS]
    + [(compile_fields, pattern) for pattern in FIELDS_PATTERNS],
    ids=lambda argument: getattr(argument, "__name__", repr(argument)),
)
@pytest.mark.parametrize("ending", ["", "x", "=1;", '";'])
def test_effort_grows_with_the_length(compiler: Callable[[str], object], pattern: str, ending: str) -> None:
    """A text four times as long costs at most four times the calls, and a constant."""
    calls_of(compiler, pattern * 10 + ending)  # the shared automata are built once per process
    few, many = (calls_of(compiler, pattern * (length // len(pattern)) + ending) for length in (SHORT, LONG))
    assert many <= few * (LONG / SHORT) * 1.1 + 2_000


@pytest.mark.parametrize("pattern", ["(", "a(", "a/", "*(", "a(b/c,"])
def test_nesting_of_any_depth_is_answered(pattern: str) -> None:
    """The longest text that is read, nested as deep as it can be, is an error like any other."""
    for text in (pattern * (MAX_LENGTH // len(pattern)), pattern * 20_000):
        with pytest.raises(LanguageError) as error:
            compile_fields(text)
        assert error.value.code == 4000
