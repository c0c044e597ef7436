"""What a topic's subscriptions ask for, and which records of a batch are theirs.

Belongs to a `topic_reader` and is touched by its reader's thread only. A record is parsed once (`documents`),
the rule index is asked once, and each distinct projection is run once, whatever the number of subscriptions and
streams. Knows neither offsets that have been reached nor outboxes.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

import structlog

from filter_service import metrics
from filter_service.documents import DocumentReader
from filter_service.matching import RuleEntry, RuleIndex
from filter_service.projection import Projection
from filter_service.record import Document, Record, parse
from filter_service.stream_batch import KafkaRecord, Matched, Member, Projector
from filter_service.subscription import Subscription

log = structlog.get_logger(__name__)

SLICE = 256
"""Records that are parsed and matched at a time: enough for what is done once for all of them to count little, and not
more than the processor's cache holds."""


class TopicRules:
    """The rules and projections of one topic.

    Args:
        topic: Kafka topic name, for the log.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._index: RuleIndex[Member] = RuleIndex()
        self._projectors: dict[Projection, Projector] = {}
        self._reader = DocumentReader()

    def add(self, subscription: Subscription, member: Member) -> None:
        """Has records that match a subscription's rule told for its member."""
        self._index.add(subscription.rule, member)

    def remove(self, subscription: Subscription, member: Member) -> None:
        """Undoes `add`."""
        self._index.remove(subscription.rule, member)

    def use_projector(self, projection: Projection | None) -> Projector | None:
        """What runs a projection, the same for all who use it; None for whole records."""
        if projection is None:
            return None
        projector = self._projectors.get(projection)
        if projector is None:
            projector = self._projectors[projection] = Projector(projection)
        projector.users += 1
        return projector

    def release_projector(self, projection: Projection | None) -> None:
        """Undoes one `use_projector`."""
        if projection is not None:
            projector = self._projectors[projection]
            projector.users -= 1
            if not projector.users:
                del self._projectors[projection]

    def match(
        self, partition: int, messages: Sequence[KafkaRecord], takers: Container[Member] | None = None
    ) -> Matched:
        """Parses records, finds out which rules match them, and cuts them; what was cut is kept until `forget`.

        Args:
            takers: those for whom records are cut; None for everybody.
        """
        matched = Matched(messages)
        for begin in range(0, len(messages), SLICE):
            part = messages[begin : begin + SLICE]
            try:
                self._match(begin, part, matched, takers)
            except Exception:
                # Some record is poisonous, and must not stop the others (promise 5).
                for place, message in enumerate(part, begin):
                    try:
                        self._match(place, (message,), matched, takers)
                    except Exception:
                        metrics.RECORDS_FAILED.inc()
                        log.exception("record failed", topic=self._topic, partition=partition, offset=message.offset())
        return matched

    def _match(
        self, begin: int, messages: Sequence[KafkaRecord], matched: Matched, takers: Container[Member] | None
    ) -> None:
        """Matches and cuts some records of a batch.

        Args:
            begin: place of the first one.
            matched: takes what is found.
            takers: see `match`.
        """
        texts: list[bytes] = [message.value() for message in messages]  # type: ignore[misc]  # None is refused below
        places: Sequence[int] = range(begin, begin + len(messages))
        documents = self._reader.read(texts, self._index.names)
        if documents is None:
            records = [(place, parse(text)) for place, text in zip(places, texts, strict=True)]
            parsed = [(place, record) for place, record in records if record is not None]
            places = [place for place, _ in parsed]
            documents = [record.document for _, record in parsed]
            texts = [record.text for _, record in parsed]
        found = self._index.match_all(documents)
        if self._projectors:
            self._cut(found, places, texts, documents, takers)
        self._reader.learn(documents)
        matched.add(found, places, texts)

    def _cut(
        self,
        found: Mapping[RuleEntry[Member], list[int]],
        places: Sequence[int],
        texts: Sequence[bytes],
        documents: Sequence[Document],
        takers: Container[Member] | None,
    ) -> None:
        """Cuts records for those who want it: now, while they are in the processor's cache."""
        records: dict[int, Record] = {}
        for entry, rows in found.items():
            members = entry.members
            for projector in {member.outlet.projector for member in members if takers is None or member in takers}:
                if projector is not None:
                    for row in rows:
                        record = records.get(row)
                        if record is None:
                            record = records[row] = Record(texts[row], documents[row])
                        projector.cut(places[row], record)

    def forget(self) -> None:
        """The batch is done."""
        for projector in self._projectors.values():
            projector.forget()
