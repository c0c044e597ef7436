"""Where librdkafka's own log lines go. Each line may come from another thread.

librdkafka tells a problem with a broker once in 30 seconds, but for one case: while no broker at all can be reached it
begins again and again with new ones ("re-bootstrap", since 2.10) and forgets what it has told, dozens of times a
second.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

QUIET_SEC = 30.0
"""As librdkafka's own."""

MOST_REMEMBERED = 1000

_HOW_LONG = re.compile(r" \(after \d+ms in state .*\)$")
"""What librdkafka leaves out of the comparison too."""


class RepeatFilter(logging.Filter):
    """Lets a line through that has not been let through lately; the next one tells how many were not.

    Args:
        clock: seconds; never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._told: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """Line -> when it was let through, and how often it was not since. The oldest first."""
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is to be logged."""
        line = record.getMessage()
        key = _HOW_LONG.sub("", line)
        now = self._clock()
        with self._lock:
            told_at, kept_back = self._told.get(key, (now - QUIET_SEC, 0))
            if now - told_at < QUIET_SEC:
                self._told[key] = told_at, kept_back + 1
                return False
            self._told[key] = now, 0
            self._told.move_to_end(key)
            if len(self._told) > MOST_REMEMBERED:
                self._told.popitem(last=False)
        if kept_back:
            record.msg, record.args = "%s (%d like it were not logged)", (line, kept_back)
        return True


_repeats = RepeatFilter()


def librdkafka_logger() -> logging.Logger:
    """What every client is given."""
    logger = logging.getLogger("librdkafka")
    logger.addFilter(_repeats)
    return logger
