"""How many partitions each subscribed topic has, kept up to date.

Lives on the event loop. Kafka tells nobody when a topic or partition is created, so topics in use are looked at
periodically: often those that do not exist yet, now and then the others.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import structlog

from filter_service.errors import KafkaUnavailableError
from filter_service.kafka_source import KafkaLookups, is_possible_topic

log = structlog.get_logger(__name__)

GrowthListener = Callable[[str, int, int], None]
"""Takes (topic, partitions known before, partitions now)."""


class TopicCatalog:
    """Partition counts of the topics in use.

    Args:
        lookups: to ask Kafka with.
        metadata_interval: seconds between looks at topics that exist.
        missing_topic_interval: seconds between looks at those that do not.
        grown: told when a topic in use has appeared or has more partitions.
    """

    def __init__(
        self, lookups: KafkaLookups, metadata_interval: float, missing_topic_interval: float, grown: GrowthListener
    ) -> None:
        self._lookups = lookups
        self._metadata_interval = metadata_interval
        self._missing_topic_interval = missing_topic_interval
        self._grown = grown
        self._users: Counter[str] = Counter()
        self._counts: dict[str, int] = {}

    async def use(self, topic: str) -> int:
        """Watches a topic until `release`; returns its number of partitions, 0 when it does not exist.

        Raises:
            KafkaUnavailableError: Kafka did not answer; the topic is not watched.
        """
        self._users[topic] += 1
        try:
            if not self._counts.get(topic):
                self._learn(await self._lookups.partition_counts([topic]))
        except BaseException:
            self.release(topic)
            raise
        return self._counts[topic]

    async def look_again(self, topic: str) -> int:
        """Asks Kafka about a topic in use now; returns its number of partitions.

        Raises:
            KafkaUnavailableError: Kafka did not answer.
        """
        self._learn(await self._lookups.partition_counts([topic]))
        return self.count(topic)

    def release(self, topic: str) -> None:
        """Undoes one `use`."""
        self._users[topic] -= 1
        if self._users[topic] <= 0:
            del self._users[topic]
            self._counts.pop(topic, None)

    def count(self, topic: str) -> int:
        """The number of partitions as known now."""
        return self._counts.get(topic, 0)

    async def watch(self) -> None:
        """Looks for new topics and partitions until cancelled."""
        loop = asyncio.get_running_loop()
        next_full = loop.time() + self._metadata_interval
        while True:
            await asyncio.sleep(self._missing_topic_interval)
            full = loop.time() >= next_full
            if full:
                next_full = loop.time() + self._metadata_interval
            wanted = [t for t in self._users if (full or not self._counts.get(t)) and is_possible_topic(t)]
            if not wanted:
                continue
            try:
                self._learn(await self._lookups.partition_counts(wanted))
            except KafkaUnavailableError as error:
                log.warning("topics cannot be looked up", problem=str(error))

    def _learn(self, counts: dict[str, int]) -> None:
        for topic, count in counts.items():
            known = self._counts.get(topic, 0)
            if topic in self._users and (count > known or topic not in self._counts):
                self._counts[topic] = count
                if count > known:
                    self._grown(topic, known, count)
