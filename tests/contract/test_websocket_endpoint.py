"""Behaviour, section 2: the WebSocket endpoint before anything is streamed, through the real tiers."""

import asyncio
import json

import pytest

from tests.conftest import CreateTopic, MakeStack
from tests.edge.raw import HANDSHAKE, RawResponse, exchange, get
from tests.kafka.records import RecordWriter
from tests.stack.client import Client
from tests.stack.stack import TICKET

PLAIN = {"Host": "edge"}
TOPICS = "/kafka-ws/v1/topics"


def port_of(client: Client) -> int:
    return int(client.url.rpartition(":")[2])


async def ask(client: Client, target: str, headers: dict[str, str]) -> RawResponse:
    return await exchange(port_of(client), get(target, headers))


def message(response: RawResponse) -> tuple[int, object]:
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    return response.status, json.loads(response.rest)["message"]


BOTH = pytest.mark.parametrize("headers", [PLAIN, HANDSHAKE], ids=["plain", "upgrade"])


@BOTH
@pytest.mark.parametrize("query", ["", "?ticket=", "?ticket", "?where=a=1;", "?Ticket=x"])
async def test_missing_ticket(client: Client, headers: dict[str, str], query: str) -> None:
    """Without a ticket: 401, with and without an upgrade, and no 101 first."""
    assert message(await ask(client, f"{TOPICS}/admin.t{query}", headers)) == (401, "Missing ticket")


@BOTH
@pytest.mark.parametrize("ticket", ["0" * 64, "x", "%00", "%F0%9F%98%80", "A" * 64, "%zz", "a" * 60_000])
async def test_unknown_ticket(client: Client, headers: dict[str, str], ticket: str) -> None:
    """A ticket that was never issued: 401."""
    assert message(await ask(client, f"{TOPICS}/admin.t?ticket={ticket}", headers)) == (401, "Invalid ticket")


@BOTH
@pytest.mark.parametrize("query", ["ticket={}&ticket={}", "ticket[]={}", "ticket[a]={}", "ticket={}&ticket[]=x"])
async def test_ambiguous_ticket(client: Client, headers: dict[str, str], query: str) -> None:
    """A ticket that is given twice or in brackets: 401."""
    target = f"{TOPICS}/admin.t?{query.replace('{}', await client.get_ticket())}"
    assert message(await ask(client, target, headers)) == (401, "Invalid ticket")


async def test_plain_request(client: Client) -> None:
    """A valid ticket without an upgrade: 426 in the documented words; the ticket is used up."""
    target = f"{TOPICS}/admin.t?ticket={await client.get_ticket()}"
    response = await ask(client, target, PLAIN)
    assert response.status == 426
    assert response.headers["content-type"].partition(";")[0] == "text/plain"
    assert response.headers["upgrade"] == "websocket"
    assert response.rest == b"Invalid request - non-WebSocket connection received in WS endpoint"
    assert message(await ask(client, target, HANDSHAKE)) == (401, "Invalid ticket")


@pytest.mark.parametrize("ending", ["", "&where=bad", "&where=a=1;&where=b=1;"])
async def test_ticket_is_good_once(client: Client, ending: str) -> None:
    """A ticket that has opened a WebSocket, whatever became of it, opens no other."""
    target = f"{TOPICS}/admin.t?ticket={await client.get_ticket()}{ending}"
    assert (await ask(client, target, HANDSHAKE)).status == 101
    assert message(await ask(client, target, HANDSHAKE)) == (401, "Invalid ticket")


async def test_forbidden_topic_uses_the_ticket_up(client: Client) -> None:
    """So does a topic of another tenant."""
    ticket = await client.get_ticket()
    assert (await ask(client, f"{TOPICS}/other.t?ticket={ticket}", HANDSHAKE)).status == 101
    assert message(await ask(client, f"{TOPICS}/admin.t?ticket={ticket}", HANDSHAKE)) == (401, "Invalid ticket")


async def test_one_of_many_concurrent_uses_wins(client: Client) -> None:
    """Of concurrent upgrades with one ticket exactly one gets 101."""
    target = f"{TOPICS}/admin.t?ticket={await client.get_ticket()}"
    responses = await asyncio.gather(*(ask(client, target, HANDSHAKE) for _ in range(30)))
    assert sorted(response.status for response in responses) == [101] + [401] * 29


@BOTH
@pytest.mark.parametrize("path", ["/", "/kafka-ws/v1/", "/kafka-ws/v1/other", TOPICS, f"{TOPICS}/", f"{TOPICS}/a/b"])
async def test_other_paths(client: Client, headers: dict[str, str], path: str) -> None:
    """404, whatever the ticket; it is not used up."""
    ticket = await client.get_ticket()
    assert message(await ask(client, f"{path}?ticket={ticket}", headers)) == (404, "Not Found")
    assert (await ask(client, f"{TOPICS}/admin.t?ticket={ticket}", HANDSHAKE)).status == 101


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Sec-WebSocket-Key": ""}, 400),
        ({"Sec-WebSocket-Version": "7"}, 426),
        ({"Upgrade": "h2c"}, 400),
        ({"Connection": "keep-alive"}, 400),
    ],
)
async def test_broken_handshakes(client: Client, changes: dict[str, str], status: int) -> None:
    """`Upgrade` without a proper handshake: 400, or 426 for another version."""
    target = f"{TOPICS}/admin.t?ticket={await client.get_ticket()}"
    response = await ask(client, target, HANDSHAKE | changes)
    assert response.status == status
    assert response.headers.get("sec-websocket-version") == ("13" if status == 426 else None)


async def test_accepted_handshake(client: Client) -> None:
    """101 with the answer to the key (RFC 6455's example), no subprotocol, no compression."""
    offers = {
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol": "chat",
        "Sec-WebSocket-Extensions": "permessage-deflate",
    }
    response = await ask(client, f"{TOPICS}/admin.t?ticket={await client.get_ticket()}", HANDSHAKE | offers)
    assert response.status == 101
    assert response.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert not {"sec-websocket-protocol", "sec-websocket-extensions"} & response.headers.keys()


@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD", "OPTIONS"])
async def test_other_methods(client: Client, method: str) -> None:
    """405, and the ticket is not used up."""
    ticket = await client.get_ticket()
    response = await client.request(f"{TOPICS}/admin.t?ticket={ticket}", method=method)
    assert (response.status, response.headers["Allow"]) == (405, "GET")
    assert (await ask(client, f"{TOPICS}/admin.t?ticket={ticket}", HANDSHAKE)).status == 101


@BOTH
@pytest.mark.parametrize("topic", ["admin.%zz", "admin.%", "admin.%E9"])
async def test_malformed_percent_encoding(client: Client, headers: dict[str, str], topic: str) -> None:
    """Refused with 400."""
    target = f"{TOPICS}/{topic}?ticket={await client.get_ticket()}"
    assert message(await ask(client, target, headers)) == (400, "Bad Request")


@pytest.mark.parametrize("form", ["{}", "{}/", "%61dmin{rest}"])
async def test_topic_is_decoded_once(
    client: Client, create_topic: CreateTopic, records: RecordWriter, form: str
) -> None:
    """Escapes are decoded, and one trailing slash is ignored."""
    name = create_topic()
    segment = form.replace("{rest}", name.removeprefix("admin")).replace("{}", name)
    async with await client.open(f"{TOPICS}/{segment}?ticket={await client.get_ticket()}") as socket:
        await asyncio.to_thread(records.write, name, b'{"a":1}')
        assert await socket.value() == {"a": 1}


async def test_escaped_slash_is_part_of_the_topic(client: Client) -> None:
    """`a%2Fb` is the topic `a/b`: here one of another tenant, and no other path."""
    async with await client.open(f"{TOPICS}/a%2Fadmin.t?ticket={await client.get_ticket()}") as socket:
        assert (await socket.closed()).code == 4403


async def test_frames_from_the_client(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """They are ignored; a ping is answered; records come as one compact text frame each."""
    name = create_topic()
    async with await client.connect(name) as socket:
        await socket.connection.send("hello")
        await socket.connection.send(b"\x00\xff")
        await asyncio.wait_for(await socket.connection.ping(), 30)
        await asyncio.to_thread(records.write_all, name, [b'{"a":[1,2]}', b'{"b":{}}'])
        assert [await socket.text(), await socket.text()] == ['{"a":[1,2]}', '{"b":{}}']


async def test_not_ready(make_stack: MakeStack) -> None:
    """While a tier is away: 503 with and without an upgrade, no 101; afterwards it works again."""
    stack = await asyncio.to_thread(make_stack)
    client = stack.client()
    for name in ("filter-1", TICKET):
        ticket = await client.get_ticket()
        await asyncio.to_thread(stack.kill, name)
        await asyncio.to_thread(stack.wait_until_ready, "edge-1", ready=False)
        for headers in (PLAIN, HANDSHAKE):
            response = await ask(client, f"{TOPICS}/admin.t?ticket={ticket}", headers)
            assert message(response) == (503, "Service Unavailable")
        await asyncio.to_thread(stack.start_one, name)
        await asyncio.to_thread(stack.wait_until_ready, "edge-1")
        assert (await ask(client, f"{TOPICS}/admin.t?ticket={ticket}", HANDSHAKE)).status == 101
