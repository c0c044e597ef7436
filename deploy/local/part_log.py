"""A part's output: a file in the run folder, its end, and the warnings in it.

Used by `supervisor` (the file a process writes to, the lines to show when it fails) and by the launcher, which shows
the services' warnings and errors at the terminal.
"""

import json
from collections import deque
from pathlib import Path
from typing import IO

LAST_LINES = 15
_LAST_BYTES = 64 * 1024
_LONGEST_SHOWN = 300
"""Characters of one line that are shown; the file has the rest."""
_SHOWN_LEVELS = ("warning", "error", "critical")


class PartLog:
    """The output of one part, over all its restarts.

    Args:
        path: the file; its folder exists.
    """

    def __init__(self, path: Path) -> None:
        """Creates nothing yet."""
        self.path = path
        self._read_up_to = 0
        self._incomplete = b""

    def open(self) -> IO[bytes]:
        """The file, to be a process' stdout and stderr."""
        return self.path.open("ab")

    def last_lines(self) -> list[str]:
        """The last lines that are not blank, shortened."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - _LAST_BYTES))
                text = file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return []
        return [shortened(line) for line in deque((line for line in text.splitlines() if line.strip()), LAST_LINES)]

    def new_warnings(self) -> list[str]:
        """Warnings and errors that were logged since the last call, a sentence each."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._read_up_to)
                chunk = file.read()
        except FileNotFoundError:
            return []
        self._read_up_to += len(chunk)
        *lines, self._incomplete = (self._incomplete + chunk).split(b"\n")
        return [warning for line in lines if (warning := as_warning(line)) is not None]


def as_warning(line: bytes) -> str | None:
    """A line of a service's JSON log as `warning: event (name=value, ...)`; None when it is not worth showing."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or entry.get("level") not in _SHOWN_LEVELS:
        return None
    told = ("event", "level", "service", "timestamp", "logger", "exception")
    details = ", ".join(f"{name}={value}" for name, value in entry.items() if name not in told)
    return shortened(f"{entry['level']}: {entry.get('event', '')}" + (f" ({details})" if details else ""))


def shortened(line: str) -> str:
    """A line cut at a length that a terminal can bear."""
    return line if len(line) <= _LONGEST_SHOWN else line[:_LONGEST_SHOWN] + "…"
