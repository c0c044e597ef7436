"""Rendezvous hashing: balance, and nothing moves that need not."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.placement import Share, are_alike, choose, rank, resolve

REPLICAS = [f"10.0.0.{number}:50051" for number in range(1, 6)]
TOPICS = [f"admin.topic-{number}" for number in range(5000)]


def test_balance() -> None:
    """Each of five replicas gets a fifth of many topics, within a tenth of it."""
    shares = Counter(choose(topic, None, REPLICAS) for topic in TOPICS)
    assert set(shares) == set(REPLICAS)
    assert all(0.9 * 1000 < share < 1.1 * 1000 for share in shares.values())


def test_partitions_spread() -> None:
    """The partitions of one topic go to different replicas."""
    assert {choose("admin.hot", partition, REPLICAS) for partition in range(100)} == set(REPLICAS)


def test_leaving_replica_moves_only_its_own() -> None:
    """When a replica goes, only what it served moves, to where it ranked second; when it returns, only that returns."""
    for topic in TOPICS[:500]:
        first, second, *_ = rank(topic, None, REPLICAS)
        for gone in REPLICAS:
            rest = [replica for replica in REPLICAS if replica != gone]
            assert choose(topic, None, rest) == (second if gone == first else first)


@given(st.text(), st.one_of(st.none(), st.integers(0, 1000)), st.permutations(REPLICAS))
def test_order_does_not_matter(topic: str, partition: int | None, replicas: list[str]) -> None:
    """Edges that know the replicas in another order choose the same, whatever the topic's name."""
    assert rank(topic, partition, replicas) == rank(topic, partition, REPLICAS)
    assert choose(topic, partition, replicas) == rank(topic, partition, REPLICAS)[0]


@pytest.mark.parametrize(
    ("shares", "alike"),
    [
        ([Share("a")], True),
        ([Share("a", frozenset({0, 2})), Share("a", frozenset({1}), 3)], True),
        ([Share("a", frozenset({0}), 1)], True),
        ([Share("a", frozenset({0, 1, 2}))], False),
        ([Share("a", frozenset({0, 2})), Share("b", frozenset({1}), 3)], False),
        ([Share("b")], False),
        ([], False),
    ],
)
def test_shares_that_are_alike(shares: list[Share], alike: bool) -> None:
    """What counts is who serves each partition of the three, and those to come, not how it was asked for."""
    assert are_alike(3, [Share("a")], shares) is alike


def test_no_replica() -> None:
    """Without replicas there is no choice."""
    assert choose("admin.t", None, []) is None


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (["127.0.0.1:1"], {"127.0.0.1:1": "127.0.0.1"}),
        (["[::1]:2"], {"[::1]:2": "::1"}),
        (["127.0.0.1:1", "127.0.0.1:2"], {"127.0.0.1:1": "127.0.0.1", "127.0.0.1:2": "127.0.0.1"}),
        (["nowhere.invalid:1", "127.0.0.1:2"], {"127.0.0.1:2": "127.0.0.1"}),
    ],
)
async def test_resolving(addresses: list[str], expected: dict[str, str]) -> None:
    """Names become addresses; one that is unknown does not hide the others."""
    assert await resolve(addresses) == expected
