"""Logs: one line per event, complete, without secrets, for our loggers and the libraries' alike."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from runtime import logs


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_json_line_says_what_where_when(capsys: pytest.CaptureFixture[str]) -> None:
    """Event, service, time, level, logger, and what was given."""
    logs.configure("some_service", "info", "json")
    structlog.get_logger("a.module").info("listening", address="127.0.0.1:1")
    (line,) = written(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "listening",
        "service": "some_service",
        "level": "info",
        "logger": "a.module",
        "address": "127.0.0.1:1",
    }


def test_libraries_write_the_same_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """What third parties log through the standard library looks alike, their extras included."""
    logs.configure("some_service", "info", "json")
    logging.getLogger("library").warning("hello %s", "you", extra={"detail": 1})
    (line,) = written(capsys)
    assert (line["event"], line["service"], line["level"], line["logger"]) == (
        "hello you",
        "some_service",
        "warning",
        "library",
    )
    assert line["detail"] == 1


def test_the_level_holds_for_all(capsys: pytest.CaptureFixture[str]) -> None:
    """Less severe events are dropped."""
    logs.configure("some_service", "warning", "json")
    structlog.get_logger("a").info("dropped")
    logging.getLogger("library").info("dropped")
    structlog.get_logger("a").warning("kept")
    assert [line["event"] for line in written(capsys)] == ["kept"]


def test_secrets_are_blanked(capsys: pytest.CaptureFixture[str]) -> None:
    """In values, in texts and in tracebacks, ours and the libraries'."""
    ticket = "0123456789abcdef" * 4
    logs.configure("some_service", "debug", "json")
    structlog.get_logger("a").info(f"GET /x?ticket={ticket}", ticket=ticket, nested={"password": ticket})
    logging.getLogger("library").info("Authorization: Bearer %s", ticket)
    try:
        raise KeyError(ticket)
    except KeyError:
        structlog.get_logger("a").exception("failed")
    output = capsys.readouterr().out
    assert len(output.splitlines()) == 3
    assert ticket not in output
    assert "KeyError: '[redacted]'" in output


def test_tracebacks_do_not_quote_variables(capsys: pytest.CaptureFixture[str]) -> None:
    """A traceback shows the code, not what was in it."""
    logs.configure("some_service", "info", "json")
    innocent_looking = "hunter" + "2"
    try:
        int(innocent_looking[:0] or "x")
    except ValueError:
        structlog.get_logger("a").exception("failed")
    (line,) = written(capsys)
    assert "ValueError" in line["exception"]
    assert "hunter2" not in line["exception"]


def test_context_is_added(capsys: pytest.CaptureFixture[str]) -> None:
    """A request id that was bound once is on every line."""
    logs.configure("some_service", "info", "json")
    structlog.contextvars.bind_contextvars(request_id="r1")
    structlog.get_logger("a").info("x")
    logging.getLogger("library").info("y")
    assert [line["request_id"] for line in written(capsys)] == ["r1", "r1"]


def test_line_breaks_do_not_forge_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """A value from a client cannot begin a line of its own."""
    logs.configure("some_service", "info", "json")
    structlog.get_logger("a").info("x", topic='a\n{"event":"forged"}')
    (line,) = written(capsys)
    assert line["topic"] == 'a\n{"event":"forged"}'


def test_the_console_format_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Text instead of JSON, with the same care."""
    logs.configure("some_service", "info", "console")
    structlog.get_logger("a").info("listening", token="abc")
    output = capsys.readouterr().out
    assert "listening" in output
    assert "service=some_service" in output
    assert "abc" not in output


def test_an_unknown_format_is_refused() -> None:
    """Settings check it before; a caller that does not gets an error."""
    with pytest.raises(ValueError, match="xml"):
        logs.configure("some_service", "info", "xml")
