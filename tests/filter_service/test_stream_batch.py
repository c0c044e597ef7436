"""Whatever subscriptions share a reader and a stream, each gets what it would get alone."""

from itertools import pairwise

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from filter_service.topic_reader import TopicReader
from tests.filter_service.made import TOPIC, KafkaRecord, batches, delivered, outbox, subscription

_WHERES = ("", "a=gte:2;", "a=lt:2;", "a=gte:2;b=in:x;", "b=nin:x;", "missing=eq:1;")
_FIELDS = ("", "a", "b", "a,b", "missing", "*")

_documents = st.fixed_dictionaries({}, optional={"a": st.integers(0, 3), "b": st.sampled_from(["x", "y", 1])})
_payloads = st.lists(st.none() | st.just(b"no JSON") | _documents.map(orjson.dumps), min_size=1, max_size=12)
_queries = st.lists(
    st.tuples(st.sampled_from(_WHERES), st.sampled_from(_FIELDS), st.integers(0, 2), st.booleans(), st.booleans()),
    min_size=1,
    max_size=8,
)


@settings(deadline=None)
@given(_payloads, _queries)
def test_sharing_changes_nothing(payloads: list[bytes | None], queries: list[tuple[str, str, int, bool, bool]]) -> None:
    """Values, order and keys are those of a reader with a single subscription; no stream holds a value twice."""
    messages = [KafkaRecord(at, payload, b"key %d" % at) for at, payload in enumerate(payloads)]
    outboxes = [outbox() for _ in range(3)]
    topic = TopicReader(TOPIC)
    topic.open_partition(0, 0)
    topic.open_partition(1, 0)
    expected: dict[int, list[tuple[int, int, bytes]]] = {}
    for number, (where, fields, stream, with_metadata, elsewhere) in enumerate(queries, 1):
        # Those that are level on another partition only get nothing of this one.
        topic.attach(subscription(number, outboxes[stream], where, fields, with_metadata), int(elsewhere), 0)
        if not elsewhere:
            alone, own = TopicReader(TOPIC), outbox()
            alone.open_partition(0, 0)
            alone.attach(subscription(number, own, where, fields), 0, 0)
            alone.read(0, messages)
            expected |= delivered(batches(own))
    topic.read(0, messages)
    got: dict[int, list[tuple[int, int, bytes]]] = {}
    for out in outboxes:
        for batch in batches(out):
            got |= delivered([batch])
            assert all(before <= after for before, after in pairwise(batch.offsets))
            assert len(batch.offsets) == len(batch.timestamps) == len(batch.values)
            assert batch.timestamps == [1_000 + offset for offset in batch.offsets]
            assert batch.metadata is None or [each.key for each in batch.metadata] == [
                b"key %d" % offset for offset in batch.offsets
            ]
            taken = [indexes or range(len(batch.values)) for _, indexes in batch.deliveries]
            assert {index for indexes in taken for index in indexes} == set(range(len(batch.values)))
            assert all(indexes is None or len(indexes) < len(batch.values) for _, indexes in batch.deliveries)
            projections = len({each.projection for each, _ in batch.deliveries})
            assert all(batch.offsets.count(offset) <= projections for offset in batch.offsets)
    assert got == expected
