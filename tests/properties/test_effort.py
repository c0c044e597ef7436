"""The language's effort is linear in the length of any text, and a projection's in that of the record.

Calls are counted, not time.
"""

import json
import sys
from collections.abc import Callable
from types import FrameType

import pytest

from filter_service.language import LanguageError, compile_fields, compile_where
from filter_service.language.parser import MAX_LENGTH
from filter_service.projection import Projection
from filter_service.record import parse

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


def calls_of(work: Callable[[str], object], text: str) -> int:
    """Number of calls of functions, Python's and C's, while a text is compiled, or `work` does something else."""
    count = 0

    def profile(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        work(text)
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


def entangled(depth: int, mark: str = "") -> str:
    """A text of which 2 ** depth selections hold for what stands below `depth` members called `a`."""
    if depth == 0:
        return f"q{mark}"
    return f"a({entangled(depth - 1, mark + '0')}),*({entangled(depth - 1, mark + '1')})"


def calls_of_a_projection(text: str, document: object) -> int:
    """Number of calls while a projection that has seen the document before cuts it."""
    selection = compile_fields(text)
    record = parse(json.dumps(document).encode())
    assert selection is not None
    assert record is not None
    projection = Projection(selection)
    projection.apply(record)

    def apply(_: str) -> None:
        projection.apply(record)

    return calls_of(apply, "")


def test_effort_of_a_projection_does_not_grow_with_selections_that_meet() -> None:
    """A thousand selections that hold for the same members cost no more per record than two, after the first."""
    document: object = [{"x": n} for n in range(1_000)]
    for _ in range(10):
        document = {"a": document}
    few = calls_of_a_projection("a(" * 9 + entangled(1) + ")" * 9, document)
    assert calls_of_a_projection(entangled(10), document) <= few * 1.1
