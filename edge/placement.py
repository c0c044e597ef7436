"""Which filter replica serves which partitions (design, "Placement"): rendezvous hashing, and finding the replicas.

`choose`, `rank` and `spread` are pure; `resolve` asks the system's resolver. Called by `filter_client`.
"""

import asyncio
import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from hashlib import blake2b

from edge.config import split_address


def _score(replica: str, topic: str, partition: int | None) -> bytes:
    whole = "" if partition is None else str(partition)
    # NUL cannot occur in an address, and a topic that holds one cannot exist: no two keys give the same text.
    return blake2b(f"{replica}\0{topic}\0{whole}".encode("utf-8", "surrogatepass"), digest_size=8).digest()


def rank(topic: str, partition: int | None, replicas: Iterable[str]) -> list[str]:
    """The replicas, best first, for a topic's partition.

    Every edge ranks alike, so that equal subscriptions meet at one replica; a replica that comes or goes moves only
    its own share (rendezvous hashing, Thaler and Ravishankar 1996).

    Args:
        topic: topic name.
        partition: partition number; None for the topic as a whole.
        replicas: addresses, in any order.
    """
    return sorted(replicas, key=lambda replica: (_score(replica, topic, partition), replica), reverse=True)


def choose(topic: str, partition: int | None, replicas: Iterable[str]) -> str | None:
    """The first of `rank`; None without replicas."""
    return max(replicas, key=lambda replica: (_score(replica, topic, partition), replica), default=None)


@dataclass(frozen=True, slots=True)
class Share:
    """The partitions of a topic that one replica serves.

    Attributes:
        replica: address.
        partitions: their numbers; None: all there are and will be.
        and_from: also every partition from this number on; None: no others.
    """

    replica: str
    partitions: frozenset[int] | None = None
    and_from: int | None = None


def spread(topic: str, partition_count: int, replicas: Collection[str]) -> list[Share]:
    """Who serves what of a topic: each partition its best replica, but none more than its part.

    Plain rendezvous hashing would leave a topic of few partitions on few replicas; here a partition goes to the best
    one that has room (as in consistent hashing with bounded loads, Mirrokni et al. 2016). All edges that see the same
    replicas find the same shares.

    Args:
        topic: topic name.
        partition_count: number of its partitions; 0: it does not exist.
        replicas: addresses.

    Returns:
        One share for each replica that has one; none without replicas.
    """
    whole = choose(topic, None, replicas)
    if whole is None:
        return []
    if partition_count <= 1 or len(replicas) == 1:
        return [Share(whole)]
    room = -(-partition_count // len(replicas))
    shares: dict[str, set[int]] = {}
    for partition in range(partition_count):
        for replica in rank(topic, partition, replicas):
            if len(shares.get(replica, ())) < room:
                shares.setdefault(replica, set()).add(partition)
                break
    shares.setdefault(whole, set())
    return [
        Share(replica, frozenset(partitions), partition_count if replica == whole else None)
        for replica, partitions in sorted(shares.items())
    ]


def are_alike(partition_count: int, one: Iterable[Share], other: Iterable[Share]) -> bool:
    """Whether every partition has the same replica in both, those to come included, in however many shares.

    Args:
        partition_count: number of partitions that the topic has.
        one, other: shares that overlap nowhere.
    """
    return _owners(partition_count, one) == _owners(partition_count, other)


def _owners(partition_count: int, shares: Iterable[Share]) -> dict[int, str]:
    """Partition -> replica; the number behind the last one stands for those to come."""
    owners: dict[int, str] = {}
    for share in shares:
        begin = 0 if share.partitions is None else share.and_from
        owners.update(dict.fromkeys(share.partitions or (), share.replica))
        if begin is not None:
            owners.update(dict.fromkeys(range(begin, partition_count + 1), share.replica))
    return owners


async def resolve(addresses: Iterable[str]) -> dict[str, str]:
    """All the addresses that names stand for.

    Args:
        addresses: `host:port` each; a host may be a name with many addresses, such as a headless Kubernetes service.

    Returns:
        `ip:port` (`[ip]:port` for IPv6) -> the host it was resolved from, which a TLS certificate must be for. Names
        that cannot be resolved now are missing.
    """
    loop = asyncio.get_running_loop()
    found: dict[str, str] = {}
    for address in addresses:
        host, port = split_address(address)
        try:
            answers = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            continue
        for family, *_, endpoint in answers:
            ip = str(endpoint[0])
            if family == socket.AF_INET6:
                ip = f"[{ip}]"
            found.setdefault(f"{ip}:{port}", host)
    return found
