"""librdkafka's log lines: what is told again and again is told once in a while."""

import logging

import pytest

from filter_service.librdkafka_log import MOST_REMEMBERED, QUIET_SEC, RepeatFilter


class Lines:
    """What comes through the filter, at times of the test's own."""

    def __init__(self) -> None:
        self.now = 0.0
        self._filter = RepeatFilter(lambda: self.now)

    def tell(self, text: str) -> str | None:
        """The line that is logged; None: none is."""
        record = logging.LogRecord("librdkafka", logging.ERROR, __file__, 1, "%s [%s] %s", ("FAIL", "c-1", text), None)
        return record.getMessage() if self._filter.filter(record) else None


@pytest.fixture
def lines() -> Lines:
    """Nothing has been logged yet."""
    return Lines()


def test_repeats_are_told_once_in_a_while(lines: Lines) -> None:
    """How long something took makes no new line of it; how many were left out is told."""
    assert lines.tell("refused (after 0ms in state CONNECT)") == "FAIL [c-1] refused (after 0ms in state CONNECT)"
    assert lines.tell("refused (after 12ms in state CONNECT)") is None
    assert lines.tell("refused (after 0ms in state CONNECT, 3 identical error(s) suppressed)") is None
    lines.now += QUIET_SEC
    assert lines.tell("refused (after 7ms in state UP)") == (
        "FAIL [c-1] refused (after 7ms in state UP) (2 like it were not logged)"
    )
    lines.now += QUIET_SEC
    assert lines.tell("refused") == "FAIL [c-1] refused"


def test_others_are_told(lines: Lines) -> None:
    """A line is kept back for its like alone."""
    assert lines.tell("one")
    assert lines.tell("two")
    assert lines.tell("one") is None


def test_what_is_remembered_is_bounded(lines: Lines) -> None:
    """The oldest is forgotten, and told again."""
    for number in range(MOST_REMEMBERED + 1):
        assert lines.tell(str(number))
    assert lines.tell("1") is None
    assert lines.tell("0")
