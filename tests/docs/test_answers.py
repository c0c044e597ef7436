"""The close codes and HTTP answers that README.md lists are those of the code, and of the real edge."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from kafka_ws.filter.v1 import filter_pb2

from edge.errors import REASONS, CloseCode
from edge.handlers import base
from filter_service.errors import PositionGoneError
from tests.conftest import MakeStack
from tests.docs.page import span, table, text_of
from tests.stack.client import PREFIX, Client, HttpResponse
from tests.stack.stack import TICKET

PAGE = text_of()
CLOSES = [(int(code), span(name), span(reason)) for code, name, reason, _ in table("code", PAGE)]
ANSWERS = [(int(status), span(body)) for status, body, _ in table("status", PAGE)]

FOREIGN_ORIGIN = "https://elsewhere.example.com"
OWN_ORIGIN = "https://app.example.com"


def test_every_close_code_is_listed() -> None:
    """Code and name of each that the edge sends by itself or on behalf of the filter service, and no other."""
    prefix = "REJECTION_CODE_"
    sent = {(code.value, code.name) for code in CloseCode if code is not CloseCode.NORMAL}
    sent |= {
        (code, name.removeprefix(prefix)) for name, code in filter_pb2.RejectionCode.items() if code
    }  # 0 is never sent
    assert sorted((code, name) for code, name, _ in CLOSES) == sorted(sent)


def test_close_reasons_are_those_of_the_code() -> None:
    """The words of the edge, of the language's errors, and of a position that is gone."""
    for code, name, reason in CLOSES:
        if name in CloseCode.__members__ and CloseCode(code) in REASONS:
            assert reason == REASONS[CloseCode(code)]
    reasons = {code: as_pattern(reason) for code, _, reason in CLOSES}
    errors = [outcome for _, outcome, _ in table("`where`", PAGE) if outcome[0].isdigit()]
    assert len(errors) > 4
    for error in errors:
        number, _, words = error.partition(" ")
        assert reasons[int(number)].fullmatch(span(words)), error
    assert reasons[4410].fullmatch(str(PositionGoneError(1, 20, 300)))


def as_pattern(reason: str) -> re.Pattern[str]:
    """A reason of the table, with `<x>` for whatever stands there."""
    return re.compile(re.sub(r"<\w+>", ".+", re.escape(reason)))


# ------------------------------------------------------------------------------------------------------ HTTP answers


async def _plain_request_to_a_topic(client: Client) -> HttpResponse:
    return await client.request(client.target("admin.t", ticket=await client.get_ticket()))


async def _malformed_handshake(client: Client) -> HttpResponse:
    target = client.target("admin.t", ticket=await client.get_ticket())
    return await client.request(target, headers={"Upgrade": "h2c", "Connection": "Upgrade"})


Ask = Callable[[Client], Awaitable[HttpResponse]]

REQUESTS: dict[tuple[int, str], Ask] = {
    (200, '{"ticket":"<64 hexadecimal digits>"}'): lambda c: c.request_ticket(f"Bearer {c.tokens.token()}"),
    (400, '{"message":"Bad Request"}'): _malformed_handshake,
    (401, '{"message":"Missing JWT token"}'): lambda c: c.request_ticket(None),
    (401, '{"message":"Invalid JWT token"}'): lambda c: c.request_ticket("Bearer forged"),
    (401, '{"message":"Missing ticket"}'): lambda c: c.request(c.target("admin.t", ticket=None)),
    (401, '{"message":"Invalid ticket"}'): lambda c: c.request(c.target("admin.t", ticket="0" * 64)),
    (403, '{"message":"Forbidden"}'): lambda c: c.request(
        c.target("admin.t", ticket=None), headers={"Origin": FOREIGN_ORIGIN}
    ),
    (404, '{"message":"Not Found"}'): lambda c: c.request("/elsewhere"),
    (405, '{"message":"Method Not Allowed"}'): lambda c: c.request(f"{PREFIX}/ticket", method="POST"),
    (426, "Invalid request - non-WebSocket connection received in WS endpoint"): _plain_request_to_a_topic,
}
"""How to get each answer of an edge that can serve."""
UNAVAILABLE = (503, '{"message":"Service Unavailable"}')
UNFORESEEN = (500, '{"message":"An unexpected error has occurred."}')


def test_every_answer_is_listed() -> None:
    """The table has each answer that the tests below ask for, and no other."""
    assert sorted(ANSWERS) == sorted([*REQUESTS, UNAVAILABLE, UNFORESEEN])
    assert UNFORESEEN[1] == f'{{"message":"{base._UNFORESEEN}"}}'
    assert {HTTPStatus(status) for status, _ in ANSWERS} >= base._MESSAGES.keys()


async def test_the_edge_answers_as_listed(make_stack: MakeStack) -> None:
    """Each status with its body, from a real edge; 503 once the ticket service is away."""
    stack = await asyncio.to_thread(make_stack, settings={"KAFKA_WS_SERVER_ALLOWED_ORIGINS": OWN_ORIGIN})
    client = stack.client()
    for (status, body), ask in REQUESTS.items():
        response = await ask(client)
        assert (response.status, without_ticket(response.body.decode())) == (status, body)
        assert response.headers["X-Request-Id"]
    await asyncio.to_thread(stack.kill, TICKET)
    await asyncio.to_thread(stack.wait_until_ready, "edge-1", ready=False)
    response = await client.request(client.target("admin.t", ticket="0" * 64))
    assert (response.status, response.body.decode()) == UNAVAILABLE


def without_ticket(body: str) -> str:
    """A body with the ticket written as in the table."""
    return re.sub('"[0-9a-f]{64}"', '"<64 hexadecimal digits>"', body)
