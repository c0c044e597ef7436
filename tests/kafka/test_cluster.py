"""The Kafka of the tests: what the fixtures promise to the other tests."""

from confluent_kafka import Consumer, TopicPartition

from tests.conftest import CreateTopic, StartKafka
from tests.kafka.cluster import KafkaCluster
from tests.kafka.records import RecordWriter, Written


def read_all(bootstrap: str, topic: str, count: int, partition: int = 0) -> list[bytes | None]:
    """The first `count` values that a partition still has."""
    settings = {"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False}
    consumer = Consumer({**settings, "auto.offset.reset": "earliest"})
    try:
        consumer.assign([TopicPartition(topic, partition, 0)])
        return [message.value() for message in consumer.consume(count, timeout=30)]
    finally:
        consumer.close()


def test_records_come_back_in_order(kafka: KafkaCluster, create_topic: CreateTopic, records: RecordWriter) -> None:
    """What the writer reports as written is read back from those offsets."""
    topic = create_topic(partitions=2)
    written = records.write_all(topic, [b"a", None, b"c"], partition=1)
    assert written == [Written(1, 0), Written(1, 1), Written(1, 2)]
    assert read_all(kafka.bootstrap, topic, 3, partition=1) == [b"a", None, b"c"]


def test_a_topic_can_grow_and_go(kafka: KafkaCluster, create_topic: CreateTopic) -> None:
    """Partitions that were added have leaders at once, and a deleted topic is gone at once."""
    topic = create_topic()
    kafka.add_partitions(topic, 3)
    assert kafka.leader(topic, 2) == 1
    kafka.delete_topic(topic)
    assert topic not in kafka.admin.list_topics(timeout=10).topics


def test_topics_are_not_created_by_reading(kafka: KafkaCluster) -> None:
    """A topic that nobody created does not appear when a client asks for it."""
    kafka.admin.list_topics("admin.never-created", timeout=10)
    assert "admin.never-created" not in kafka.admin.list_topics(timeout=10).topics


def test_deleted_records_are_gone(kafka: KafkaCluster, create_topic: CreateTopic, records: RecordWriter) -> None:
    """`delete_records` moves the first offset, as retention does."""
    topic = create_topic()
    records.write_all(topic, [b"0", b"1", b"2"])
    kafka.delete_records(topic, before=2)
    assert read_all(kafka.bootstrap, topic, 1) == [b"2"]


def test_three_brokers_survive_the_loss_of_a_leader(start_kafka: StartKafka) -> None:
    """With three nodes, killing a partition's leader loses nothing, and the node comes back."""
    cluster = start_kafka(brokers=3)
    topic = cluster.create_topic("admin.replicated")
    writer = RecordWriter(cluster.bootstrap)
    writer.write(topic, b"before")
    leader = cluster.leader(topic)
    cluster.kill(leader)
    writer.write(topic, b"after")
    cluster.restart(leader)
    assert read_all(cluster.bootstrap, topic, 2) == [b"before", b"after"]
