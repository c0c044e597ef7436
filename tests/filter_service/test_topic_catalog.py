"""How many partitions topics have: asked once, watched while in use, growth told. Kafka's answers are given here."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

import pytest

from filter_service.errors import KafkaUnavailableError
from filter_service.kafka_source import KafkaLookups
from filter_service.topic_catalog import TopicCatalog


class Answers(KafkaLookups):
    """What Kafka answers, and what it was asked; without a Kafka."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.asked: list[set[str]] = []
        self.is_away = False

    async def partition_counts(self, topics: Iterable[str]) -> dict[str, int]:
        """One request."""
        wanted = set(topics)
        self.asked.append(wanted)
        await asyncio.sleep(0)
        if self.is_away:
            raise KafkaUnavailableError("asking for metadata", "no broker answers")
        return {topic: self.counts.get(topic, 0) for topic in wanted}


class Watched:
    """A catalog that looks all the time, Kafka's answers, and the growth that was told."""

    def __init__(self) -> None:
        self.kafka = Answers()
        self.grown: list[tuple[str, int, int]] = []
        self.catalog = TopicCatalog(self.kafka, 0.002, 0.001, lambda *told: self.grown.append(told))

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0)

    async def look_twice(self) -> None:
        """Wait until all has been looked at that is looked at."""
        seen = len(self.kafka.asked)
        await self.until(lambda: len(self.kafka.asked) >= seen + 4)


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    """A catalog that is kept up to date."""
    made = Watched()
    task = asyncio.create_task(made.catalog.watch())
    yield made
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_topics_that_exist_and_that_do_not(watched: Watched) -> None:
    """The count is told to whoever begins to use a topic; 0 is for one that does not exist."""
    watched.kafka.counts["a"] = 3
    assert await watched.catalog.use("a") == 3
    assert await watched.catalog.use("b") == 0
    assert (watched.catalog.count("a"), watched.catalog.count("b"), watched.catalog.count("c")) == (3, 0, 0)


async def test_growth_is_told_once(watched: Watched) -> None:
    """A topic that appears, and one that gets more partitions."""
    watched.kafka.counts["a"] = 1
    await asyncio.gather(*(watched.catalog.use("a") for _ in range(5)), watched.catalog.use("b"))
    told = list(watched.grown)
    assert told == [("a", 0, 1)]
    watched.kafka.counts.update(a=4, b=2)
    await watched.until(lambda: len(watched.grown) == 3)
    assert sorted(watched.grown[1:]) == [("a", 1, 4), ("b", 0, 2)]
    await watched.look_twice()
    assert len(watched.grown) == 3
    assert await watched.catalog.use("a") == 4


async def test_only_topics_in_use_are_looked_at(watched: Watched) -> None:
    """A topic is forgotten when its last user has gone, and asked for anew for the next."""
    await watched.catalog.use("a")
    await watched.catalog.use("a")
    await watched.catalog.use("stays")
    watched.catalog.release("a")
    await watched.look_twice()
    assert "a" in watched.kafka.asked[-1]
    watched.catalog.release("a")
    watched.kafka.asked.clear()
    await watched.look_twice()
    assert watched.kafka.asked.count({"stays"}) == len(watched.kafka.asked)
    watched.kafka.counts["a"] = 2
    assert await watched.catalog.use("a") == 2


async def test_kafka_away(watched: Watched) -> None:
    """Who asks then is told and uses nothing; watching goes on, and sees what changed meanwhile."""
    await watched.catalog.use("a")
    watched.kafka.is_away = True
    with pytest.raises(KafkaUnavailableError):
        await watched.catalog.use("b")
    await watched.look_twice()
    watched.kafka.is_away = False
    watched.kafka.counts.update(a=1, b=1)
    await watched.until(lambda: watched.grown == [("a", 0, 1)])
    await watched.look_twice()
    assert not any("b" in asked for asked in watched.kafka.asked[-3:])


async def test_a_name_that_cannot_be(watched: Watched) -> None:
    """Kafka is not asked again and again for a topic that can never exist."""
    assert await watched.catalog.use("a/b") == 0
    await watched.catalog.use("c")
    watched.kafka.asked.clear()
    await watched.look_twice()
    assert all(asked == {"c"} for asked in watched.kafka.asked)


async def test_looking_again(watched: Watched) -> None:
    """Whoever cannot wait for the next look has one at once, and others are told what it finds."""
    watched.kafka.counts["a"] = 1
    await watched.catalog.use("a")
    watched.kafka.counts["a"] = 2
    assert await watched.catalog.look_again("a") == 2
    assert watched.grown == [("a", 0, 1), ("a", 1, 2)]
