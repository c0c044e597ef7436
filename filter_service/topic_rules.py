"""What a topic's subscriptions ask for, and which records of a batch are theirs.

Belongs to a `topic_reader` and is touched by its reader's thread only. A record is parsed once, the rule index is asked
once, and each distinct projection is run once, whatever the number of subscriptions and streams. Knows neither offsets
that have been reached nor outboxes.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson
import structlog

from filter_service import metrics
from filter_service.matching import RuleEntry, RuleIndex
from filter_service.projection import Projection
from filter_service.record import Record, parse
from filter_service.stream_batch import KafkaRecord, Matched, Member, Projector, projectors
from filter_service.subscription import Subscription

log = structlog.get_logger(__name__)


class TopicRules:
    """The rules and projections of one topic.

    Args:
        topic: Kafka topic name, for the log.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._index: RuleIndex[Member] = RuleIndex()
        self._projectors: dict[Projection, Projector] = {}

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

    def match(self, partition: int, messages: Sequence[KafkaRecord]) -> Matched:
        """Parses records, finds out which rules match them, and cuts them; what was cut is kept until `forget`."""
        match = self._index.match
        loads = orjson.loads
        is_cut = bool(self._projectors)
        cutting: set[Projector] = set()
        cut_for: object = None
        kept: list[KafkaRecord] = []
        texts: list[bytes] = []
        found: list[Sequence[RuleEntry[Member]]] = []
        # This loop is most of what a record costs: every call in it is felt.
        for message in messages:
            try:
                text = message.value()
                try:
                    document = loads(text)  # type: ignore[arg-type]  # a tombstone's None is refused like bad JSON
                    if not document or (type(document) is not dict and type(document) is not list):
                        continue
                except orjson.JSONDecodeError:
                    record = parse(text)
                    if record is None:
                        continue
                    text, document = record.text, record.document
                entries = match(document)
                if entries:
                    if is_cut:
                        # Now, while the document is in the processor's cache; later costs twice as much.
                        if entries is not cut_for:
                            cutting, cut_for = projectors(entries), entries
                        record = Record(text, document)  # type: ignore[arg-type]  # a None was refused
                        for projector in cutting:
                            projector.cut(len(kept), record)
                    kept.append(message)
                    texts.append(text)  # type: ignore[arg-type]
                    found.append(entries)
            except Exception:  # a poisonous record must not stop the others (promise 5)
                metrics.RECORDS_FAILED.inc()
                log.exception("record failed", topic=self._topic, partition=partition, offset=message.offset())
        return Matched(kept, texts, found)

    def forget(self) -> None:
        """The batch is done."""
        for projector in self._projectors.values():
            projector.forget()
