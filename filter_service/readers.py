"""All readers of the process: one of what is written now, and a few of the past. Used by `subscriptions`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from filter_service.catch_up import CatchUpPool, CatchUpReader
from filter_service.config import FilterSettings
from filter_service.live_reader import LiveReader
from filter_service.reader import Assignment, Reader
from filter_service.reader_thread import ReaderThread
from filter_service.subscription import Subscription

R = TypeVar("R", bound=Reader)

CATCH_UP_BATCH = 1000
"""Most records that a catch-up reader takes at a time. While it delivers them a slow client may have had enough; what
it is given until that is known is read in vain, and the live reader waits for the interpreter meanwhile."""
CATCH_UP_MIN_MESSAGES = 20_000
CATCH_UP_PREFETCH_KBYTES = 8 * 1024
"""Most that a catch-up consumer holds: the past is read as fast as it is sent, not faster."""

CATCH_UP_METADATA_MS = 2_000
"""How old the knowledge of who leads a partition may be: who reads nothing does not find out that a leader hangs."""


class Readers:
    """The threads that read Kafka. Methods may be called from any thread, but for `start` and `stop`.

    Args:
        settings: of the service.
        properties: librdkafka properties from `kafka_source.client_properties`.
        died: called, from any thread, when a reader cannot go on because of a fault.

    Raises:
        KafkaException: librdkafka refuses a property.
    """

    def __init__(
        self,
        settings: FilterSettings,
        properties: Mapping[str, str | int | bool],
        died: Callable[[BaseException], None],
    ) -> None:
        self._settings = settings
        self._properties = properties
        self._died = died
        self._live = self._thread(
            "live",
            lambda assignment: LiveReader(assignment, settings.filter_replay_bytes, self._behind),
            settings.filter_batch_records,
        )
        self._pool = CatchUpPool(self._live.reader.positions, self.attach)
        self._catch_up = [self._catch_up_thread(number + 1) for number in range(settings.filter_catch_up_readers)]

    def start(self) -> None:
        """Starts the threads."""
        for thread in self._threads():
            thread.start()

    def stop(self) -> None:
        """Ends the threads; blocks until they have ended."""
        for thread in self._threads():
            thread.stop()

    def attach(self, subscription: Subscription, partition: int, start: int, begin: int | None = None) -> None:
        """Serves a partition to a subscription from offset `start` on.

        Args:
            start: offset of the first record to deliver.
            begin: an offset at or before `start` and close to the end of the partition, where live reading may begin
                if nobody reads the partition yet; None when `start` may lie far back.
        """
        self._live.command(lambda: self._live.reader.attach(subscription, partition, start, begin))

    def forget(self, subscription: Subscription) -> None:
        """Stops serving a subscription that has been closed."""
        for thread in self._threads():
            thread.command(partial(thread.reader.forget, subscription))

    @property
    def backlog(self) -> int:
        """How often somebody waits to be served by the live reader, or to be forgotten."""
        return self._live.backlog

    def _behind(self, subscription: Subscription, partition: int, start: int) -> None:
        self._pool.attach(subscription, partition, start)

    def _catch_up_thread(self, number: int) -> ReaderThread[CatchUpReader]:
        thread = self._thread(
            f"catch-up-{number}",
            lambda assignment: CatchUpReader(number, assignment, self._pool),
            min(CATCH_UP_BATCH, self._settings.filter_batch_records),
            queued_min_messages=CATCH_UP_MIN_MESSAGES,
            queued_max_messages_kbytes=CATCH_UP_PREFETCH_KBYTES,
            topic_metadata_refresh_interval_ms=CATCH_UP_METADATA_MS,
        )

        def attach(subscription: Subscription, partition: int, start: int) -> None:
            thread.command(lambda: thread.reader.attach(subscription, partition, start))

        self._pool.join(thread.reader.positions, attach)
        return thread

    def _thread(
        self, name: str, make_reader: Callable[[Assignment], R], batch_records: int, **overrides: str | int | bool
    ) -> ReaderThread[R]:
        return ReaderThread(
            name,
            make_reader,
            self._properties,
            batch_records,
            self._settings.filter_progress_interval_sec,
            self._died,
            **overrides,
        )

    def _threads(self) -> list[ReaderThread[LiveReader] | ReaderThread[CatchUpReader]]:
        return [self._live, *self._catch_up]
