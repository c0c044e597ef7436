"""What is known of the subscribed topics: how many partitions they have, and their ids; kept up to date.

Lives on the event loop. Kafka tells nobody when a topic or partition is created or deleted, so topics in use are looked
at periodically: often those that do not exist yet, now and then the others.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from filter_service.errors import KafkaUnavailableError
from filter_service.kafka_source import KafkaLookups, is_possible_topic

log = structlog.get_logger(__name__)

ID_WAIT_SEC = 0.25
"""How long a new subscription waits for a topic's id. Without it positions cannot be told from those in a deleted topic
of the same name; a broker that keeps none (librdkafka's mock) must not hold anybody up for longer."""


class CatalogListener(Protocol):
    """Who is told about topics in use."""

    def grown(self, topic: str, known: int, now: int) -> None:
        """A topic has appeared, or has more partitions than were known."""

    def identified(self, topic: str) -> None:
        """The id of a topic has become known."""

    def replaced(self, topic: str) -> None:
        """A topic was deleted and created again."""


@dataclass(slots=True)
class _Topic:
    """What is known of a topic.

    Attributes:
        is_missing: Kafka did not find it when it was last asked for; what else is known holds if it comes back.
    """

    users: int = 0
    partition_count: int = 0
    id: bytes = b""
    is_missing: bool = False
    looking: asyncio.Task[None] | None = field(default=None)


class TopicCatalog:
    """The topics in use.

    Args:
        lookups: to ask Kafka with.
        metadata_interval: seconds between looks at topics that exist.
        missing_topic_interval: seconds between looks at those that do not.
        listener: is told what has changed.
    """

    def __init__(
        self, lookups: KafkaLookups, metadata_interval: float, missing_topic_interval: float, listener: CatalogListener
    ) -> None:
        self._lookups = lookups
        self._metadata_interval = metadata_interval
        self._missing_topic_interval = missing_topic_interval
        self._listener = listener
        self._topics: dict[str, _Topic] = {}

    async def use(self, topic: str) -> int:
        """Watches a topic until `release`; returns its number of partitions, 0 when it does not exist.

        One that was created again since it came into use is told before: nobody begins with what is known of the old.

        Raises:
            KafkaUnavailableError: Kafka did not answer; the topic is not watched.
        """
        known = self._topics.setdefault(topic, _Topic())
        known.users += 1
        try:
            if known.id:
                await self._confirm(topic, known)
            if not known.partition_count:
                await self._look_for([topic])
        except BaseException:
            self.release(topic)
            raise
        return self.count(topic)

    async def look_again(self, topic: str) -> int:
        """Asks Kafka about a topic in use now; returns its number of partitions.

        Raises:
            KafkaUnavailableError: Kafka did not answer.
        """
        self._learn(await self._lookups.partition_counts([topic]))
        return self.count(topic)

    async def current_id(self, topic: str) -> bytes:
        """Asks Kafka for a topic's id now; empty when it does not exist.

        Raises:
            KafkaUnavailableError: Kafka did not answer.
        """
        ids = await self._lookups.topic_ids([topic])
        self._learn_ids(ids)
        return ids[topic]

    def release(self, topic: str) -> None:
        """Undoes one `use`."""
        known = self._topics[topic]
        known.users -= 1
        if not known.users:
            del self._topics[topic]
            if known.looking is not None:
                known.looking.cancel()

    def count(self, topic: str) -> int:
        """The number of partitions as known now."""
        known = self._topics.get(topic)
        return 0 if known is None or known.is_missing else known.partition_count

    def id(self, topic: str) -> bytes:
        """The topic's id as known now; empty: not known."""
        known = self._topics.get(topic)
        return b"" if known is None or known.is_missing else known.id

    async def watch(self) -> None:
        """Looks for changes until cancelled."""
        loop = asyncio.get_running_loop()
        next_full = loop.time() + self._metadata_interval
        while True:
            await asyncio.sleep(self._missing_topic_interval)
            full = loop.time() >= next_full
            if full:
                next_full = loop.time() + self._metadata_interval
            possible = {name: known for name, known in self._topics.items() if is_possible_topic(name)}
            wanted = [name for name, known in possible.items() if full or not known.partition_count]
            identified = [name for name, known in possible.items() if known.id and (full or known.is_missing)]
            try:
                if identified:
                    self._learn_ids(await self._lookups.topic_ids(identified))
                if wanted:
                    await self._look_for(wanted)
            except KafkaUnavailableError as error:
                log.warning("topics cannot be looked up", problem=str(error))

    def _learn(self, counts: dict[str, int]) -> None:
        for topic, count in counts.items():
            known = self._topics.get(topic)
            if known is None or count == known.partition_count:
                continue
            if 0 < count < known.partition_count:
                # Partitions are never removed.
                self._replaced(topic, known, b"")
            elif count > known.partition_count:
                before, known.partition_count = known.partition_count, count
                if not known.id:
                    self._look_for_id(topic, known)
                self._listener.grown(topic, before, count)

    def _learn_ids(self, ids: dict[str, bytes]) -> None:
        for topic, topic_id in ids.items():
            known = self._topics.get(topic)
            if known is None or not topic_id:
                continue
            if not known.id:
                known.id = topic_id
                self._listener.identified(topic)
            elif topic_id != known.id:
                self._replaced(topic, known, topic_id)
            elif known.is_missing:
                known.is_missing = False
                self._listener.grown(topic, 0, known.partition_count)

    def _replaced(self, topic: str, known: _Topic, topic_id: bytes) -> None:
        log.warning("topic was deleted and created again", topic=topic)
        known.id, known.partition_count, known.is_missing, known.looking = topic_id, 0, False, None
        self._listener.replaced(topic)

    async def _confirm(self, topic: str, known: _Topic) -> None:
        """Asks whether a topic is still the one that is known."""
        if not await self.current_id(topic):
            # A broker may know less than the others for a moment.
            await asyncio.sleep(self._missing_topic_interval)
            known.is_missing = not await self.current_id(topic)

    async def _look_for(self, topics: list[str]) -> None:
        """Asks for numbers of partitions; for the id of a topic that has appeared before that is told."""
        counts = await self._lookups.partition_counts(topics)
        found = [(topic, self._topics[topic]) for topic, count in counts.items() if count and topic in self._topics]
        looking = [self._look_for_id(topic, known) for topic, known in found if not known.id]
        if looking:
            await asyncio.wait(looking, timeout=ID_WAIT_SEC)
        self._learn(counts)

    def _look_for_id(self, topic: str, known: _Topic) -> asyncio.Task[None]:
        if known.looking is None:
            known.looking = asyncio.create_task(self._ask_for_id(topic))
        return known.looking

    async def _ask_for_id(self, topic: str) -> None:
        try:
            await self.current_id(topic)
        except KafkaUnavailableError as error:
            log.debug("no topic id", topic=topic, problem=str(error))
