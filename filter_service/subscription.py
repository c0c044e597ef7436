"""One subscription as the readers see it: immutable data, and the stream it belongs to.

Created on the event loop by `subscriptions`, then handed from reader to reader. Where it has got to is known by the
reader that serves it (per partition), not by the subscription.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from filter_service.language import Rule
from filter_service.limit import Limit
from filter_service.outbox import Outbox
from filter_service.projection import Projection


@dataclass(eq=False, slots=True)
class Subscription:
    """What one client of a stream asked for.

    Attributes:
        id: number chosen by the client, unique within the stream.
        topic: Kafka topic name.
        rule: which records.
        projection: how much of each; None for the whole record.
        with_metadata: whether keys and headers are delivered.
        skips_gaps: whether to go on, with a notice, behind records that are gone.
        limit: where it ends, looked after on the event loop; None: nowhere. With one, partitions that appear later are
            not read.
        outbox: of the stream the subscription belongs to.
        topic_id: Kafka's id of the topic it reads; empty: not known. Set on the event loop before readers get it.
        partition_count: partitions that the topic had when this was last looked at, on the event loop: those that
            readers may have been given. 0: it did not exist.
        closed: set on the event loop when the client has closed it; readers forget it at their next command.
        ended: the same when its topic was deleted; its client has yet to be told.
    """

    id: int
    topic: str
    rule: Rule
    projection: Projection | None
    with_metadata: bool
    outbox: Outbox
    skips_gaps: bool = False
    limit: Limit | None = None
    topic_id: bytes = b""
    partition_count: int = 0
    closed: bool = field(default=False)
    ended: bool = field(default=False)

    @property
    def is_over(self) -> bool:
        """Whether no reader may serve it any more."""
        return self.closed or self.ended
