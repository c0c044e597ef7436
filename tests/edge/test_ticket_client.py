"""What clients want at the same time goes to the ticket service together, and is answered to each."""

import asyncio

import pytest

from edge.errors import RefusedError
from edge.ticket_client import Admission
from tests.edge.conftest import MakeSystem, System


@pytest.fixture
async def system(make_system: MakeSystem) -> System:
    """An edge with all it needs."""
    return await make_system()


@pytest.fixture
def batches(system: System) -> list[int]:
    """How many calls came in each message."""
    system.tickets.batches.clear()
    return system.tickets.batches


async def test_calls_of_one_turn_go_together(system: System, batches: list[int]) -> None:
    """Each has its own answer or refusal; alone, a call goes alone."""
    client = system.edge.tickets
    ticket, missing, admission, refused = await asyncio.gather(
        client.issue("Bearer admin:1"),
        client.issue(""),
        client.redeem("admin:2"),
        client.redeem("worthless"),
        return_exceptions=True,
    )
    assert ticket == "admin:1"
    assert (await client.redeem("admin:3")).grant == admission.grant  # type: ignore[union-attr]
    assert isinstance(missing, RefusedError)
    assert missing.message == "Missing JWT token"
    assert isinstance(refused, RefusedError)
    assert refused.message == "Invalid ticket"
    assert batches == [4, 1]


async def test_a_large_token_is_nobody_elses_burden(system: System, batches: list[int]) -> None:
    """What might not fit into a message together goes in several."""
    tokens = ["admin:1", "x" * 100_000, "admin:2", "y" * 100_000, "admin:3"]
    tickets = await asyncio.gather(*(system.edge.tickets.issue(f"Bearer {token}") for token in tokens))
    assert tickets == tokens
    assert batches == [1, 1, 1, 1, 1]


async def test_a_batch_is_not_endless(system: System, batches: list[int]) -> None:
    """So the first of a thousand clients is answered before the last one is looked at."""
    tickets = await asyncio.gather(*(system.edge.tickets.issue(f"Bearer admin:{n}") for n in range(1000)))
    assert tickets == [f"admin:{n}" for n in range(1000)]
    assert sum(batches) == 1000
    assert max(batches) <= 64


async def test_a_service_of_an_earlier_version(system: System, batches: list[int]) -> None:
    """While tiers are updated one after the other, the edge makes do with single calls."""
    system.tickets.takes_batches = False
    client = system.edge.tickets
    ticket, missing, redeemed, verified = await asyncio.gather(
        client.issue("Bearer admin:1"),
        client.issue(""),
        client.redeem("admin:2", "admin.t"),
        client.verify("Bearer admin:3", ""),
        return_exceptions=True,
    )
    assert ticket == "admin:1"
    assert isinstance(missing, RefusedError)
    assert isinstance(redeemed, Admission)
    assert isinstance(verified, Admission)
    assert (await client.resume(redeemed.credential, "admin.t")).grant == redeemed.grant == verified.grant
    assert batches == []
