"""A real Apache Kafka cluster (KRaft, no ZooKeeper) on free ports of 127.0.0.1, for tests, benchmarks and chaos runs.

One process per node, each broker and controller. Methods block and may be called from any one thread at a time;
in asyncio tests call those that start or stop nodes through `asyncio.to_thread` when the loop has other work.
"""

import base64
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # confluent_kafka exports some of them from C
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from tests.kafka.broker import QUICK_START, Broker
from tests.processes import wait_until

_METADATA_TIMEOUT_SEC = 30.0
_REQUEST_TIMEOUT_SEC = 30.0


class KafkaCluster:
    """A cluster that starts empty; its nodes are numbered from 1.

    :param directory: an existing folder for data, settings and logs.
    :param brokers: number of nodes. With three or more, topics have three replicas and survive the loss of one node.
    :param settings: broker settings (`server.properties`) that differ from the fixture's own.
    :param jvm_options: see :mod:`tests.kafka.broker`.
    """

    def __init__(
        self,
        directory: Path,
        brokers: int = 1,
        settings: Mapping[str, str] | None = None,
        jvm_options: Sequence[str] = QUICK_START,
    ) -> None:
        self.brokers = [
            Broker(node_id, directory / f"kafka-{node_id}", jvm_options) for node_id in range(1, brokers + 1)
        ]
        self._settings = {**self._default_settings(), **(settings or {})}
        self._admin: AdminClient | None = None

    def _default_settings(self) -> dict[str, str]:
        replicas = str(min(3, len(self.brokers)))
        in_sync = str(min(2, len(self.brokers)))
        largest_record = str(16 * 1024 * 1024)
        return {
            "controller.quorum.voters": ",".join(broker.voter for broker in self.brokers),
            "auto.create.topics.enable": "false",
            "num.partitions": "1",
            "default.replication.factor": replicas,
            "min.insync.replicas": in_sync,
            # Internal topics: one partition each instead of 50 opens sooner.
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": in_sync,
            "share.coordinator.state.topic.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": in_sync,
            "group.initial.rebalance.delay.ms": "0",
            "message.max.bytes": largest_record,
            "replica.fetch.max.bytes": largest_record,
            # Retention and compaction act within seconds, so that tests can see them.
            "log.initial.task.delay.ms": "500",
            "log.retention.check.interval.ms": "500",
            "log.segment.delete.delay.ms": "500",
            "log.cleaner.backoff.ms": "500",
            "log.cleaner.dedupe.buffer.size": str(4 * 1024 * 1024),
            "num.network.threads": "2",
            "num.io.threads": "4",
            "metric.reporters": "",
            # A killed node is given up, and may come back, after this time without a heartbeat.
            "broker.session.timeout.ms": "5000",
            "broker.heartbeat.interval.ms": "500",
        }

    @property
    def bootstrap(self) -> str:
        """`host:port[,host:port...]` of all nodes, for `bootstrap.servers`."""
        return ",".join(broker.address for broker in self.brokers)

    def start(self) -> None:
        """Format the storage, start every node and wait until all serve.

        :raises JarsUnavailableError: when Maven cannot fetch Kafka.
        :raises ProcessFailedError: when a node does not start; its log is in the text.
        """
        # KRaft cluster ids are 16 random bytes in URL-safe base64 without padding. A hyphen at the begin, one time in
        # 64, would be taken for an option by the program that formats the storage.
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")
        tools = [broker.begin_format(cluster_id, self._settings) for broker in self.brokers]
        for tool in tools:
            Broker.finish_format(tool)
        for broker in self.brokers:
            broker.process.start()
        for broker in self.brokers:
            broker.wait_ready()
        wait_until(self._all_registered, "all brokers known to each other", _METADATA_TIMEOUT_SEC)

    def stop(self) -> None:
        """Stop every node and delete the records; logs stay."""
        self._admin = None
        # Together they would wait for each other's quorum at an orderly shutdown; nobody needs this data again.
        for broker in self.brokers:
            if broker.process.running:
                broker.process.kill()
            broker.remove_data()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # ------------------------------------------------------------------------------------------------------ nodes

    def node(self, node_id: int) -> Broker:
        """The node with this number (from 1)."""
        return self.brokers[node_id - 1]

    def kill(self, node_id: int) -> None:
        """SIGKILL one node."""
        self.node(node_id).process.kill()

    def terminate(self, node_id: int) -> None:
        """Stop one node in an orderly way: it hands its leaderships over first."""
        self.node(node_id).process.stop()

    def restart(self, node_id: int) -> None:
        """Start one node again (stopping it first when it runs) on the same ports, with its data, and wait for it."""
        broker = self.node(node_id)
        if broker.process.running:
            broker.process.stop()
        broker.process.start()
        broker.wait_ready()

    def leader(self, topic: str, partition: int = 0) -> int:
        """Number of the node that leads a partition; -1 while there is none."""
        metadata = self.admin.list_topics(topic, timeout=_REQUEST_TIMEOUT_SEC)
        return int(metadata.topics[topic].partitions[partition].leader)

    def wait_in_sync(self, topic: str, timeout_sec: float = _METADATA_TIMEOUT_SEC) -> None:
        """Wait until every partition of a topic has all of its replicas: one node fewer does no harm then."""

        def in_sync() -> bool:
            partitions = self.admin.list_topics(topic, timeout=_REQUEST_TIMEOUT_SEC).topics[topic].partitions
            return all(
                partition.leader > 0 and len(partition.isrs) == len(partition.replicas)
                for partition in partitions.values()
            )

        wait_until(in_sync, f"all replicas of {topic} in sync", timeout_sec)

    def _all_registered(self) -> bool:
        try:
            return len(self.admin.list_topics(timeout=2).brokers) == len(self.brokers)
        except KafkaException:
            return False

    # ----------------------------------------------------------------------------------------------------- topics

    @property
    def admin(self) -> AdminClient:
        """An admin client that notices a restarted node quickly."""
        if self._admin is None:
            self._admin = AdminClient(
                {
                    "bootstrap.servers": self.bootstrap,
                    "reconnect.backoff.ms": 50,
                    "reconnect.backoff.max.ms": 500,
                    "log_level": 0,
                }
            )
        return self._admin

    def create_topic(
        self,
        name: str,
        partitions: int = 1,
        config: Mapping[str, str] | None = None,
        replication: int | None = None,
    ) -> str:
        """Create a topic and wait until every partition has a leader.

        :param config: topic settings, e.g. `{"cleanup.policy": "compact"}`.
        :param replication: number of replicas; None: the cluster's default.
        :returns: the name.
        :raises KafkaException: when it exists or a setting is refused.
        """
        new = NewTopic(
            name,
            num_partitions=partitions,
            replication_factor=-1 if replication is None else replication,
            config=dict(config or {}),
        )
        self.admin.create_topics([new], request_timeout=_REQUEST_TIMEOUT_SEC)[name].result()
        self._wait_for_leaders(name, partitions)
        return name

    def add_partitions(self, name: str, total: int) -> None:
        """Grow a topic to `total` partitions and wait until the new ones have leaders."""
        request = self.admin.create_partitions([NewPartitions(name, total)], request_timeout=_REQUEST_TIMEOUT_SEC)
        request[name].result()
        self._wait_for_leaders(name, total)

    def delete_topic(self, name: str) -> None:
        """Delete a topic and wait until no node lists it."""
        self.admin.delete_topics([name], request_timeout=_REQUEST_TIMEOUT_SEC)[name].result()

        def gone() -> bool:
            return name not in self.admin.list_topics(timeout=_REQUEST_TIMEOUT_SEC).topics

        wait_until(gone, f"topic {name} deleted", _METADATA_TIMEOUT_SEC)

    def delete_records(self, topic: str, before: int, partition: int = 0) -> None:
        """Delete the records of a partition with offsets below `before`, as retention does."""
        boundary = TopicPartition(topic, partition, before)
        self.admin.delete_records([boundary], request_timeout=_REQUEST_TIMEOUT_SEC)[boundary].result()

    def deny(self, kind: ResourceType, name: str, operation: AclOperation) -> None:
        """Forbid something to everybody; the brokers' settings must have an authorizer. It may take a moment to hold.

        :param kind: of thing.
        :param name: of the thing; `*`: any.
        :param operation: what nobody may do with it.
        """
        self._rule(kind, name, operation, AclPermissionType.DENY)

    def allow_only(self, kind: ResourceType, name: str, operation: AclOperation) -> None:
        """Allow everybody something, and nothing else from then on; otherwise as `deny`."""
        self._rule(kind, name, operation, AclPermissionType.ALLOW)

    def _rule(self, kind: ResourceType, name: str, operation: AclOperation, permission: AclPermissionType) -> None:
        rule = AclBinding(kind, name, ResourcePatternType.LITERAL, "User:*", "*", operation, permission)
        self.admin.create_acls([rule], request_timeout=_REQUEST_TIMEOUT_SEC)[rule].result()

    def _wait_for_leaders(self, name: str, partitions: int) -> None:
        def led() -> bool:
            metadata = self.admin.list_topics(timeout=_REQUEST_TIMEOUT_SEC).topics.get(name)
            if metadata is None or metadata.error is not None:
                return False
            leaders = [partition.leader for partition in metadata.partitions.values()]
            return len(leaders) == partitions and all(leader > 0 for leader in leaders)

        wait_until(led, f"leaders of topic {name}", _METADATA_TIMEOUT_SEC)
