"""Many calls in one message: each is answered as if it had come alone."""

import grpc
import grpc.aio
import pytest
from kafka_ws.ticket.v1 import ticket_pb2

from tests.redis_server import RedisAddress
from tests.ticket_service.conftest import Connect, StartService
from tests.ticket_service.issuer import SECRET, KeySetServer, hmac_token, published, signed_token
from tests.ticket_service.service import Client
from ticket_service.servicer import BATCH_LIMIT

Call = ticket_pb2.BatchedCall


def issue(authorization: str) -> Call:
    return Call(issue_ticket=ticket_pb2.IssueTicketRequest(authorization=authorization))


def redeem(ticket: str, resume_topic: str = "") -> Call:
    return Call(redeem_ticket=ticket_pb2.RedeemTicketRequest(ticket=ticket, resume_topic=resume_topic))


def verify(authorization: str, resume_topic: str = "") -> Call:
    return Call(verify_token=ticket_pb2.VerifyTokenRequest(authorization=authorization, resume_topic=resume_topic))


def resume(credential: str, topic: str) -> Call:
    return Call(resume_grant=ticket_pb2.ResumeGrantRequest(credential=credential, topic=topic))


async def answers(client: Client, *calls: Call) -> list[ticket_pb2.BatchedAnswer]:
    """All answers, in the order of the calls; each call has exactly one."""
    all_answers = [answer async for some in client.batch(calls) for answer in some]
    assert sorted(answer.call for answer in all_answers) == list(range(len(calls)))
    return sorted(all_answers, key=lambda answer: answer.call)


def failure(answer: ticket_pb2.BatchedAnswer) -> "tuple[str, str]":
    """The status an answer tells of."""
    assert answer.WhichOneof("answer") == "failure"
    name = next(status.name for status in grpc.StatusCode if status.value[0] == answer.failure.code)
    return name, answer.failure.message


@pytest.fixture
def client(service: str, connect: Connect) -> Client:
    return connect(service)


async def test_all_calls_can_be_batched(client: Client) -> None:
    """Good and bad ones, each with its answer or its status."""
    token = f"Bearer {hmac_token()}"
    bad = [issue("Bearer x"), verify(""), redeem(""), resume("x", "t"), Call()]
    first = await answers(client, issue(token), verify(token, "admin.t"), *bad)
    issued, verified = first[0].issue_ticket, first[1].verify_token
    assert verified.grant.tenant == "admin"
    assert [failure(answer) for answer in first[2:]] == [
        ("UNAUTHENTICATED", "Invalid JWT token"),
        ("UNAUTHENTICATED", "Missing JWT token"),
        ("UNAUTHENTICATED", "Missing ticket"),
        ("UNAUTHENTICATED", "Invalid ticket"),
        ("INVALID_ARGUMENT", "Empty call"),
    ]
    redeemed, resumed = await answers(
        client, redeem(issued.ticket, "admin.t"), resume(verified.resume_credential, "admin.t")
    )
    assert redeemed.redeem_ticket.grant == resumed.resume_grant.grant == verified.grant
    assert (await client.resume(redeemed.redeem_ticket.resume_credential, "admin.t")).tenant == "admin"


async def test_nothing_asked_nothing_answered(client: Client) -> None:
    """A batch may be empty."""
    assert await answers(client) == []


async def test_a_ticket_is_good_once_in_a_batch_too(client: Client) -> None:
    """Of two calls with the same ticket one succeeds, whichever."""
    ticket = (await client.issue(f"Bearer {hmac_token()}")).ticket
    outcomes = [answer.WhichOneof("answer") for answer in await answers(client, redeem(ticket), redeem(ticket))]
    assert sorted(map(str, outcomes)) == ["failure", "redeem_ticket"]


async def test_a_batch_has_a_limit(client: Client) -> None:
    """As many calls as the contract says, not one more."""
    await answers(client, *[redeem("x")] * BATCH_LIMIT)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await answers(client, *[redeem("x")] * (BATCH_LIMIT + 1))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert raised.value.details() == "More than 1000 calls"


async def test_a_call_that_waits_holds_up_no_other(
    redis_address: RedisAddress, start_service: StartService, connect: Connect, key_set_server: KeySetServer
) -> None:
    """While a token's key is fetched, the rest of its batch is answered."""
    key_set_server.publish([published("p256", "new")])
    key_set_server.may_answer.clear()
    _, address = start_service(
        {
            "KAFKA_WS_TOKEN_HS256_SECRET": SECRET,
            "KAFKA_WS_TOKEN_JWKS_URL": key_set_server.url,
            "KAFKA_WS_TICKET_GRANT_SECRET": "the secret of grants, long enough for its end",
            **redis_address.settings(),
        }
    )
    calls = [verify(f"Bearer {signed_token('p256', 'ES256', key_id='new')}"), verify(""), redeem("x")]
    answered: list[set[int]] = []
    async for some in connect(address).batch(calls):
        answered.append({answer.call for answer in some})
        if set().union(*answered) == {1, 2}:
            key_set_server.may_answer.set()
    assert answered[-1] == {0}
