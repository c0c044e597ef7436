"""When a reader takes its next batch: at once, or a few milliseconds after the last one.

To take one record to its clients costs as much as a hundred: threads and processes are woken, and each edge reads a
message. When records come one by one and often, a reader waits for some more, as network cards do (interrupt
moderation). When they come seldom, nothing waits (design, goal 4: batch what is there, don't linger); when a backlog is
read, batches are full anyway.
"""

from __future__ import annotations

SPACING_SEC = 0.004
"""From one batch to the next, when records come often."""
OFTEN = 400
"""Records a second from which on they do."""
_WINDOW_SEC = 0.1
"""Time over which records are counted."""


class BatchPacing:
    """The pace of one reader. Times are seconds of any clock that only goes forward.

    Args:
        batch_records: most records of a batch. Half of it is as good as full.
    """

    def __init__(self, batch_records: int) -> None:
        self._much = batch_records / 2
        self._next = 0.0  # when the next batch may be taken
        self._window_end = 0.0
        self._records = 0  # in this window
        self._is_often = False  # by the last one

    def wait_sec(self, now: float) -> float:
        """How long to let records gather, now that there is one; not positive: not at all."""
        return self._next - now

    def took(self, records: int, now: float) -> None:
        """To be told of each batch, when it has been taken and before it is dealt with."""
        if now >= self._window_end:
            # A window that ended long ago, without a batch since, says nothing.
            self._is_often = self._records >= OFTEN * _WINDOW_SEC and now < self._window_end + _WINDOW_SEC
            self._window_end = now + _WINDOW_SEC
            self._records = 0
        self._records += records
        self._next = now + SPACING_SEC if self._is_often and records < self._much else now
