"""Records, subscriptions and outboxes for tests of the parts that know neither Kafka nor gRPC."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from filter_service.language import compile_fields, compile_where
from filter_service.outbox import Batch, Delivery, Metadata, Outbox, PositionNote
from filter_service.projection import Projection
from filter_service.subscription import Subscription

TOPIC = "admin.t"
PLENTY = 1 << 40


@dataclass(frozen=True)
class KafkaRecord:
    """What a reader sees of a `confluent_kafka.Message`."""

    at: int
    payload: bytes | None
    its_key: bytes | None = None
    its_headers: tuple[tuple[str, bytes | None], ...] = ()

    def __len__(self) -> int:
        return len(self.payload or b"")

    def offset(self) -> int:
        return self.at

    def value(self) -> bytes | None:
        return self.payload

    def key(self) -> bytes | None:
        return self.its_key

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        return list(self.its_headers) or None

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_000 + self.at


def numbers(*offsets: int) -> list[KafkaRecord]:
    """Records `{"n":<offset>}`."""
    return [KafkaRecord(offset, b'{"n":%d}' % offset) for offset in offsets]


def outbox(limit: int = PLENTY) -> Outbox:
    """An outbox that wakes nobody."""
    return Outbox(limit, lambda: None)


def subscription(
    number: int, to: Outbox, where: str = "", fields: str = "", with_metadata: bool = False, topic: str = TOPIC
) -> Subscription:
    """A subscription as the readers get it."""
    selection = compile_fields(fields)
    projection = None if selection is None else Projection(selection)
    return Subscription(number, topic, compile_where(where), projection, with_metadata, to)


def batches(of: Outbox) -> list[Batch]:
    """Takes the batches out of an outbox; nothing else may be in it."""
    items = of.take()
    found = [item for item in items if isinstance(item, Batch)]
    assert len(found) == len(items)
    return found


def delivered(found: Iterable[Batch]) -> dict[int, list[tuple[int, int, bytes]]]:
    """(partition, offset, value) of what each subscription gets, by number."""
    got: dict[int, list[tuple[int, int, bytes]]] = {}
    for batch in found:
        everything: Sequence[int] = range(len(batch.values))
        for subscribed, indexes in batch.deliveries:
            rows = [(batch.partition, batch.offsets[i], batch.values[i]) for i in indexes or everything]
            got.setdefault(subscribed.id, []).extend(rows)
    return got


def notes(of: Outbox) -> list[tuple[list[int], int, int]]:
    """Takes the position notes out of an outbox: (numbers, partition, next offset); batches are thrown away."""
    return [
        (sorted(subscribed.id for subscribed in item.subscriptions), item.partition, item.next_offset)
        for item in of.take()
        if isinstance(item, PositionNote)
    ]


@st.composite
def any_batches(draw: st.DrawFn, subscriptions: Sequence[Subscription]) -> Batch:
    """Batches as `TopicReader` makes them: a record may have several values, and a subscription takes one of them."""
    everybody = range(len(subscriptions))
    offsets: list[int] = []
    values: list[bytes] = []
    takes: dict[int, list[int]] = {}
    offset = 0
    for _ in range(draw(st.integers(1, 6))):
        offset += draw(st.integers(1, 3))
        owners = draw(st.lists(st.lists(st.sampled_from(everybody), min_size=1), min_size=1, max_size=4))
        free = set(everybody)
        for wanted in owners:
            takers = free & set(wanted)
            if not takers:
                continue
            free -= takers
            for taker in takers:
                takes.setdefault(taker, []).append(len(values))
            offsets.append(offset)
            values.append(b"%d" % len(values) + b"x" * draw(st.integers(0, 200)))
    metadata = None
    if draw(st.booleans()):
        metadata = [Metadata(b"k" * draw(st.integers(0, 50)), (("h", None),)) for _ in values]
    deliveries: list[Delivery] = [
        (subscriptions[taker], None if len(indexes) == len(values) else indexes) for taker, indexes in takes.items()
    ]
    timestamps = [1_000 + each for each in offsets]
    size = sum(map(len, values)) + sum(each.size for each in metadata or ())
    return Batch(3, offsets, timestamps, values, metadata, deliveries, offset + 1 + draw(st.integers(0, 2)), size)
