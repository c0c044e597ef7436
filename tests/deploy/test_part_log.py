"""What of the parts' logs is shown at the terminal."""

import json
from pathlib import Path

import pytest

from deploy.local.part_log import PartLog, as_warning
from deploy.local.warnings_shown import Repetitions


def entry(level: str, event: str, **details: object) -> str:
    """A line as the services log it."""
    return json.dumps(
        {"event": event, "level": level, "service": "edge", "timestamp": "2026-01-01T00:00:00Z", **details}
    )


def test_warnings_and_errors_are_shown_as_sentences() -> None:
    """A person reads the event and its details, not JSON."""
    assert (
        as_warning(entry("error", "no store", host="redis", port=1).encode()) == "error: no store (host=redis, port=1)"
    )


@pytest.mark.parametrize("line", [entry("info", "listening"), "Traceback (most recent call last):", "[1]", "", "\xff"])
def test_everything_else_stays_in_the_file(line: str) -> None:
    """Events below a warning, and lines that are no events, are not shown."""
    assert as_warning(line.encode("latin-1")) is None


def test_each_warning_is_given_once_and_only_when_its_line_is_complete(tmp_path: Path) -> None:
    """A warning that is just being written is given at the next look, whole."""
    log = PartLog(tmp_path / "edge-1.log")
    assert log.new_warnings() == []
    first, second = entry("warning", "one") + "\n", entry("warning", "two") + "\n"
    with log.open() as file:
        file.write((first + second[:20]).encode())
        file.flush()
        assert log.new_warnings() == ["warning: one"]
        file.write(second[20:].encode())
        file.flush()
        assert log.new_warnings() == ["warning: two"]
    assert log.new_warnings() == []


def test_the_last_lines_are_few_and_short(tmp_path: Path) -> None:
    """The end of a log fits on a screen, however long its lines are."""
    log = PartLog(tmp_path / "edge-1.log")
    with log.open() as file:
        file.write(b"".join(b"%d %s\n\n" % (number, b"x" * 5000) for number in range(100)))
    lines = log.last_lines()
    assert 1 < len(lines) <= 15
    assert lines[-1].startswith("99 xxx")
    assert max(map(len, lines)) <= 301


def test_a_warning_that_repeats_is_shown_once_in_a_while() -> None:
    """A service that misses something says so every second; the terminal shows it every half a minute."""
    repetitions = Repetitions(repeat_after=30)
    times = [0.0, 1.0, 29.9, 30.0, 31.0]
    assert [repetitions.may_show("no store", now) for now in times] == [True, False, False, True, False]
    assert repetitions.may_show("another", 31.0)
