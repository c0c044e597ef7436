"""Shows the services' warnings and errors at the terminal, while their logs go to files.

A coroutine of `launcher`. A warning that repeats is shown once in a while only.
"""

import asyncio
import re
import time
from collections.abc import Callable, Sequence

from deploy.local.part_log import PartLog

LOOK_INTERVAL_SEC = 0.5
REPEAT_AFTER_SEC = 30.0
"""A service that misses something says so again and again; once in this time is enough at a terminal."""


class Repetitions:
    """Remembers what was shown.

    Args:
        repeat_after: seconds after which the same text may be shown again.
    """

    def __init__(self, repeat_after: float = REPEAT_AFTER_SEC) -> None:
        """Starts with nothing shown."""
        self._repeat_after = repeat_after
        self._shown: dict[str, float] = {}

    def may_show(self, text: str, now: float) -> bool:
        """Whether to show a text now (seconds of a clock that never goes back); when yes, this is remembered."""
        self._shown = {known: at for known, at in self._shown.items() if now - at < self._repeat_after}
        if text in self._shown:
            return False
        self._shown[text] = now
        return True


async def show_warnings(logs: Callable[[], Sequence[tuple[str, PartLog]]], say: Callable[[str], None]) -> None:
    """Follows the logs until cancelled.

    Args:
        logs: gives each part's name and log.
        say: is given one sentence per warning.
    """
    repetitions = Repetitions()
    while True:
        for name, log in logs():
            for warning in log.new_warnings():
                # Numbers and the like differ in repetitions of one event.
                kind = f"{name}: {re.sub('[0-9]+', '0', warning.partition(' (')[0])}"
                if repetitions.may_show(kind, time.monotonic()):
                    say(f"{name} {warning}")
        await asyncio.sleep(LOOK_INTERVAL_SEC)
