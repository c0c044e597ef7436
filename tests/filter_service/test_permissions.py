"""What Kafka has to allow the service, and what comes of it when Kafka does not. Real processes."""

import asyncio

import pytest
from confluent_kafka.admin import AclOperation, ResourceType  # type: ignore[attr-defined]  # exported from C

from filter_service.kafka_source import PROBE_TOPIC
from tests.conftest import StartKafka
from tests.filter_service.client import EARLIEST
from tests.filter_service.conftest import Connect, StartService
from tests.filter_service.service import FilterService
from tests.filter_service.test_subscribe import numbered
from tests.kafka.cluster import KafkaCluster
from tests.kafka.records import RecordWriter
from tests.processes import wait_until

AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
SEEN, HIDDEN = "admin.seen", "admin.hidden"
PATIENCE_SEC = 30.0


@pytest.fixture
async def guarded(start_kafka: StartKafka) -> KafkaCluster:
    """Two topics with records: one may be read, and nothing else; of the other, and of groups, nobody may know."""
    cluster = await asyncio.to_thread(start_kafka, 1, AUTHORIZER)
    for topic in SEEN, HIDDEN:
        cluster.create_topic(topic)
        RecordWriter(cluster.bootstrap).write_all(topic, numbered(0, 3))
    cluster.allow_only(ResourceType.TOPIC, SEEN, AclOperation.READ)
    for topic in HIDDEN, PROBE_TOPIC:
        cluster.deny(ResourceType.TOPIC, topic, AclOperation.DESCRIBE)
    cluster.deny(ResourceType.GROUP, "*", AclOperation.ALL)
    wait_until(lambda: cluster.admin.list_topics(HIDDEN).topics[HIDDEN].error is not None, "hidden", PATIENCE_SEC)
    return cluster


async def test_what_must_not_be_seen(guarded: KafkaCluster, start_service: StartService, connect: Connect) -> None:
    """It is as good as missing, which the operator is told; everything else goes on, and groups are not needed."""
    service: FilterService = await asyncio.to_thread(start_service, None, guarded.bootstrap)
    client = connect(service)
    hidden = await client.subscribe(HIDDEN, EARLIEST)
    seen = await client.subscribe(SEEN, EARLIEST)
    assert await seen.take_values(3) == numbered(0, 3)
    assert hidden.partition_count == 0
    assert not hidden.records
    told = [line for line in service.process.log().splitlines() if "does not let this service see" in line]
    assert len(told) == 1
    assert HIDDEN in told[0]
