"""The system under chaos: the tiers, the proxies between edges and filter replicas, Kafka and Redis.

Kafka and Redis are given by the caller, for they are made in different ways by a test and by `make chaos`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from edge.placement import rank
from tests.chaos.audience import TOPIC, in_thread
from tests.chaos.proxy import Proxy
from tests.chaos.records import PARTITIONS
from tests.kafka.cluster import KafkaCluster
from tests.processes import Process, free_port
from tests.redis_server import RedisServer
from tests.stack.stack import Stack

EDGES = (1, 2)
FILTERS = (1, 2, 3)
FIRST_FILTERS = (1, 2)

BROKERS = {"broker.session.timeout.ms": "3000"}
"""Settings of the brokers: how soon a dead one is given up, which is Kafka's part of a stall."""

SMALL_BUFFERS = {
    # A quarter of what is usual, so that whoever is slow or stopped is so within the seconds that a run has.
    "KAFKA_WS_SERVER_SEND_BUFFER": str(64 * 1024),
    "KAFKA_WS_SERVER_SLOW_CONSUMER_HIGH_MARK": str(512 * 1024),
    "KAFKA_WS_SERVER_SLOW_CONSUMER_LOW_MARK": str(64 * 1024),
    "KAFKA_WS_SERVER_BACKLOG_LIMIT": str(4 * 1024 * 1024),
    "KAFKA_WS_FILTER_OUTBOX_BYTES": str(8 * 1024 * 1024),
    "KAFKA_WS_FILTER_REPLAY_BYTES": str(1024 * 1024),
    "KAFKA_WS_SERVER_POSITION_INTERVAL_SEC": "1",
}


_CANDIDATES = 1_500
"""Ports to choose from: any two have the right order in seven questions once in 128 times, a third with them less."""


def ranked_alike(model: Sequence[str], candidates: Sequence[str]) -> list[str]:
    """As many addresses, which placement ranks among each other as it does those of the model, in all partitions.

    Each edge reaches the replicas through proxies of its own. In a real system all edges see the same addresses, and so
    the same replica reads a partition for all of them; here two would, which costs the machine as much again.
    """
    places = [
        {address: place for place, address in enumerate(rank(TOPIC, partition, [*model, *candidates]))}
        for partition in (None, *range(PARTITIONS))
    ]

    def fits(chosen: Sequence[str]) -> bool:
        last = len(chosen) - 1
        return all(
            (place[chosen[at]] < place[chosen[last]]) == (place[model[at]] < place[model[last]])
            for place in places
            for at in range(last)
        )

    def extended(chosen: list[str]) -> list[str]:
        if len(chosen) == len(model):
            return chosen
        for candidate in candidates:
            if candidate not in chosen and fits([*chosen, candidate]) and (found := extended([*chosen, candidate])):
                return found
        return []

    found = extended([])
    assert found, "no addresses like these"
    return found


class System:
    """The parts.

    :param directory: an existing folder for logs.
    :param kafka: a cluster that runs.
    :param redis: a server that runs.
    :param settings: environment variables of the tiers.
    """

    def __init__(
        self, directory: Path, kafka: KafkaCluster, redis: RedisServer, settings: Mapping[str, str] = SMALL_BUFFERS
    ) -> None:
        self.kafka = kafka
        self.redis = redis
        self.stack = Stack(
            directory,
            kafka.bootstrap,
            redis.address,
            filters=len(FIRST_FILTERS),
            edges=0,
            spare_filters=len(FILTERS) - len(FIRST_FILTERS),
            settings=settings,
        )
        first = [f"127.0.0.1:{free_port()}" for _ in FILTERS]
        addresses = [first]
        while len(addresses) < len(EDGES):
            addresses.append(ranked_alike(first, [f"127.0.0.1:{free_port()}" for _ in range(_CANDIDATES)]))
        self.proxies = {
            (edge, replica): Proxy(int(address.rpartition(":")[2]), self.stack.services[f"filter-{replica}"].port)
            for edge, its_addresses in zip(EDGES, addresses, strict=True)
            for replica, address in zip(FILTERS, its_addresses, strict=True)
        }

    async def start(self) -> None:
        """Starts everything, and waits until it is ready."""
        for proxy in self.proxies.values():
            await proxy.start()
        await in_thread(self.stack.start)
        for edge in EDGES:
            self._use_proxies(edge)
            await in_thread(self.stack.add_edge)

    async def stop(self) -> None:
        """Stops all that is left."""
        await in_thread(self.stack.stop)
        for proxy in self.proxies.values():
            await proxy.stop()

    def processes(self) -> dict[str, Process]:
        """The processes of the tiers by name, those that do not run included."""
        return {name: self.stack.process(name) for name in self.stack.services}

    def _use_proxies(self, edge: int) -> None:
        addresses = [self.proxies[edge, replica].address for replica in FILTERS]
        self.stack.tier_settings["edge"]["KAFKA_WS_FILTER_ADDRESS"] = ",".join(addresses)

    async def start_filter(self, number: int) -> None:
        """Starts a replica, and waits until it is ready."""
        await in_thread(self.stack.start_one, f"filter-{number}")

    async def start_edge(self, number: int) -> None:
        """Starts an edge behind its own proxies, and waits until it is ready. One at a time."""
        self._use_proxies(number)
        await in_thread(self.stack.start_one, f"edge-{number}")

    def running_filters(self) -> list[int]:
        """Numbers of the replicas that run."""
        return [number for number in FILTERS if self.stack.process(f"filter-{number}").running]
