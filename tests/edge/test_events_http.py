"""Server-sent events as HTTP: who is let in and how, what is answered instead, other origins, and what is logged."""

import logging
from typing import Any

import pytest
from kafka_ws.filter.v1 import filter_pb2

from edge.handlers.events import RETRY_LATER_MS, RETRY_MS
from edge.position_token import TokenPosition, encode
from tests.edge.conftest import MakeSystem, System, eventually
from tests.edge.event_stream import EventStream
from tests.edge.listening import credential_of, listen, numbered, numbers, write
from tests.edge.raw import HANDSHAKE, exchange, get

EVENTS = {"Host": "edge", "Accept": "text/event-stream"}
FORBIDDEN = {"message": "Tenant can't access this topic", "code": 4403}
INVALID = {"message": "Invalid ticket"}
AWAY = {"message": "Service Unavailable", "code": 4503}


@pytest.fixture
async def system(make_system: MakeSystem) -> System:
    """An edge with one replica."""
    return await make_system()


def target(system: System, query: str = "") -> str:
    """A topic with a fresh ticket."""
    return f"/kafka-ws/v1/topics/admin.t?ticket={system.ticket()}{query}"


async def last_id_of(system: System, topic: str = "admin.t") -> str:
    """What a client that has gone may come back with."""
    async with await listen(system, topic) as stream:
        return await stream.told()


# ------------------------------------------------------------------------------------------------------- the response


async def test_headers(system: System) -> None:
    """The response is a stream that nobody keeps or collects, with the request's id."""
    async with await listen(system, headers={"X-Request-Id": "abc-1"}) as stream:
        assert stream.status == 200
        expected = {
            "content-type": "text/event-stream",
            "cache-control": "no-store",
            "x-accel-buffering": "no",
            "x-request-id": "abc-1",
            "transfer-encoding": "chunked",
            "connection": "close",
            "server": "kafka-ws",
        }
        assert stream.headers.items() >= expected.items()
        assert not {"content-length", "etag", "access-control-allow-origin"} & stream.headers.keys()
        await stream.told()
        assert stream.parser.retry_ms in RETRY_MS


async def test_browsers_come_again_at_different_times(system: System) -> None:
    """Each stream is given a time of its own, so that the clients of an edge that dies do not all come at once."""
    times = set()
    for _ in range(10):
        async with await listen(system) as stream:
            await stream.told()
            times.add(stream.parser.retry_ms)
    assert len(times) > 1


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("text/event-stream", 200),
        ("Text/Event-Stream", 200),
        ("text/html, text/event-stream;q=0.9", 200),
        ("*/*", 426),
        ("text/*", 426),
        ("text/event-stream-2", 426),
        ("", 426),
    ],
)
async def test_who_wants_events(system: System, accept: str, status: int) -> None:
    """Only who names the type gets events; all others are told that this is a WebSocket endpoint."""
    response = await exchange(system.port, get(target(system), {"Host": "edge", "Accept": accept}))
    assert response.status == status


async def test_an_upgrade_is_a_websocket(system: System) -> None:
    """Whatever else the client would accept."""
    response = await exchange(system.port, get(target(system), HANDSHAKE | {"Accept": "text/event-stream"}))
    assert response.status == 101


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods(system: System, method: str) -> None:
    """Get 405 with what is allowed, and leave the ticket as it is."""
    path = target(system)
    response = await exchange(system.port, get(path, EVENTS | {"Content-Length": "0"}, method=method))
    assert (response.status, response.headers["allow"]) == (405, "GET")
    assert (await exchange(system.port, get(path, EVENTS))).status == 200


# ------------------------------------------------------------------------------------------------------------ who may


async def test_a_token_instead_of_a_ticket(system: System) -> None:
    """`Authorization: Bearer` opens a stream, and what it gives to come again with is good too."""
    write(system, numbered(5))
    bearer = {"Authorization": "Bearer admin:whatever"}
    async with await listen(system, ticket="", headers=bearer, from_="earliest") as stream:
        events = await stream.events(5)
    async with await listen(system, ticket="", headers=bearer, last_id=events[1].id) as again:
        assert await numbers(again, 3) == [2, 3, 4]
    async with await listen(system, ticket="", last_id=events[3].id) as again:
        assert await numbers(again, 1) == [4]


async def test_a_token_leaves_the_ticket_alone(system: System) -> None:
    """With both, the token counts, and the ticket is not used up."""
    ticket = system.ticket()
    async with await listen(system, ticket=ticket, headers={"Authorization": "bearer admin:x"}) as stream:
        assert stream.status == 401  # this scripted service knows `Bearer` only: it was asked
    async with await listen(system, ticket=ticket, headers={"Authorization": "Bearer admin:x"}) as stream:
        assert stream.status == 200
    async with await listen(system, ticket=ticket) as stream:
        assert stream.status == 200


async def test_other_schemes_are_somebody_elses(system: System) -> None:
    """What a browser sends to a proxy that wants a password does not stand in the way of a ticket."""
    async with await listen(system, headers={"Authorization": "Basic YTpi"}) as stream:
        assert stream.status == 200
    async with await listen(system, ticket="", headers={"Authorization": "Basic YTpi"}) as stream:
        assert (stream.status, await stream.error()) == (401, {"message": "Missing ticket"})


async def test_a_revoked_credential(system: System) -> None:
    """Admits nobody any more, until there is a new ticket: with that, the last id is good for its position."""
    ticket = system.ticket()
    async with await listen(system, ticket=ticket) as stream:
        last_id = await stream.told()
    write(system, numbered(3))
    del system.tickets.resumable[credential_of(last_id)]
    async with await listen(system, ticket=ticket, last_id=last_id) as stream:
        assert (stream.status, await stream.error()) == (401, INVALID)
    async with await listen(system, ticket="", last_id=last_id) as stream:
        assert (stream.status, await stream.error()) == (401, INVALID)
    async with await listen(system, last_id=last_id) as stream:
        assert await numbers(stream, 3) == [0, 1, 2]
        assert credential_of(stream.last_id) != credential_of(last_id)


async def test_a_credential_is_for_its_topic(system: System) -> None:
    """It opens no other topic, not even of the same tenant."""
    last_id = await last_id_of(system)
    for topic in ("admin.u", "other.t"):
        async with await listen(system, topic, ticket="", last_id=last_id) as stream:
            assert (stream.status, await stream.error()) == (401, INVALID)


async def test_a_position_without_a_credential(system: System) -> None:
    """Is no way in, but with a ticket it is where the stream goes on."""
    write(system, numbered(3))
    position = encode("admin.t", TokenPosition({0: 1}))
    async with await listen(system, ticket="", last_id=position) as stream:
        assert (stream.status, await stream.error()) == (401, {"message": "Missing ticket"})
    async with await listen(system, last_id=position) as stream:
        assert await numbers(stream, 2) == [1, 2]


# ------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("path", "headers", "status", "body"),
    [
        ("a.b", {}, 401, {"message": "Missing ticket"}),
        ("a.b?ticket=x", {}, 401, INVALID),
        ("a.b?ticket=a:1&ticket=a:1", {}, 401, INVALID),
        ("a.b", {"Authorization": "Bearer forged"}, 401, {"message": "Invalid JWT token"}),
        ("a.b", {"Authorization": "Bearer"}, 401, {"message": "Invalid JWT token"}),
        ("a.b", {"Last-Event-ID": "x.kwr_invented"}, 401, INVALID),
        ("a.b", {"Last-Event-ID": "x.y.z.w"}, 401, INVALID),
        ("%zz?ticket=a:1", {}, 400, {"message": "Bad Request"}),
        ("", {}, 404, {"message": "Not Found"}),
        ("a/b", {}, 404, {"message": "Not Found"}),
        ("b.b?ticket=a:1", {}, 403, FORBIDDEN),
        ("b.b?ticket=a:1&where=bad", {}, 403, FORBIDDEN),
        ("a.b", {"Authorization": "Bearer c:1"}, 403, FORBIDDEN),
        ("a.b?ticket=a:1&where=bad", {}, 400, {"message": "invalid syntax", "code": 4000}),
        ("a.b?ticket=a:1&where=a&where=a", {}, 400, {"message": "invalid syntax", "code": 4000}),
        (
            "a.b?ticket=a:1&from=soon",
            {},
            400,
            {"message": "invalid from: as a position, it is damaged", "code": 4000},
        ),
        (
            "a.b?ticket=a:1",
            {"Last-Event-ID": "soon"},
            400,
            {"message": "invalid Last-Event-ID: as a position, it is damaged", "code": 4000},
        ),
        (
            "a.b?ticket=a:1",
            {"Last-Event-ID": encode("a.c", TokenPosition({}))},
            400,
            {"message": "invalid Last-Event-ID: as a position, it belongs to another topic", "code": 4000},
        ),
    ],
)
async def test_refusals(system: System, path: str, headers: dict[str, str], status: int, body: dict[str, Any]) -> None:
    """Each is JSON with a message, and with the code that a WebSocket would be closed with."""
    stream = await EventStream.open(system.client.url, f"/kafka-ws/v1/topics/{path}", headers=headers)
    assert (stream.status, await stream.error()) == (status, body)
    assert stream.headers["cache-control"] == "no-store"
    stream.close()
    await eventually(lambda: system.edge.connection_count == 0, "no place is taken")


@pytest.mark.parametrize(
    ("code", "status"),
    [(4000, 400), (4001, 400), (4002, 400), (4003, 400), (4004, 400), (4410, 410), (4503, 503), (4999, 500)],
)
async def test_rejections_of_the_filter(system: System, code: int, status: int) -> None:
    """Each close code has its status, and its reason is told in full."""
    rejection_code = filter_pb2.RejectionCode.ValueType(code)
    system.replicas[0].rejection = filter_pb2.Rejection(code=rejection_code, reason="é" * 200)
    async with await listen(system) as stream:
        assert stream.status == status
        assert await stream.error() == (AWAY if code == 4503 else {"message": "é" * 200, "code": code})


async def test_records_that_are_gone(system: System) -> None:
    """A position that Kafka no longer has is 410 with what is still there."""
    write(system, numbered(10))
    async with await listen(system, from_="earliest") as stream:
        events = await stream.events(3)
    system.logs.first["admin.t"][0] = 7
    async with await listen(system, ticket="", last_id=events[2].id) as stream:
        assert stream.status == 410
        gone = {"message": "partition 0: offset 3 is gone, first offset is 7", "code": 4410}
        assert await stream.error() == gone


async def test_unready_edges_keep_the_ticket(system: System) -> None:
    """Without Kafka it is 503 with the code, and the ticket stays good."""
    ticket = system.ticket()
    system.replicas[0].set_kafka(False)
    await eventually(lambda: not system.edge.is_ready, "the edge is not ready")
    async with await listen(system, ticket=ticket) as stream:
        assert (stream.status, await stream.error()) == (503, AWAY)
        assert stream.headers["cache-control"] == "no-store"
    system.replicas[0].set_kafka(True)
    await eventually(lambda: system.edge.is_ready, "the edge is ready")
    async with await listen(system, ticket=ticket) as stream:
        assert stream.status == 200


@pytest.mark.parametrize("what", ["Kafka", "ticket service", "filter service", "places"])
async def test_who_comes_again_is_put_off(make_system: MakeSystem, what: str) -> None:
    """While something is away a browser gets a stream that ends, for on 503 it would give up; later all that it missed.

    It asks with an interval that is longer meanwhile.
    """
    system = await make_system(server_max_connections=1)
    last_id = await last_id_of(system)
    write(system, numbered(2))
    await eventually(lambda: system.edge.connection_count == 0, "the client has gone")
    blocker = await system.connect() if what == "places" else None
    match what:
        case "Kafka":
            system.replicas[0].set_kafka(False)
            await eventually(lambda: not system.edge.is_ready, "the edge is not ready")
        case "ticket service":
            await system.tickets.set_serving(False)
            await eventually(lambda: not system.edge.is_ready, "the edge is not ready")
        case "filter service":
            full = filter_pb2.Rejection(code=filter_pb2.REJECTION_CODE_UNAVAILABLE, reason="full")
            system.replicas[0].rejection = full
    async with await listen(
        system, ticket="", last_id=last_id, headers={"Origin": "https://app.example.com"}
    ) as put_off:
        assert put_off.status == 200
        assert put_off.headers["content-type"] == "text/event-stream"
        assert put_off.headers["access-control-allow-origin"] == "*"
        assert await put_off.closed() == {"code": 4503, "reason": "Server unavailable at this moment"}
        assert put_off.last_id == last_id
        assert put_off.parser.retry_ms in RETRY_LATER_MS
    if blocker is not None:
        await blocker.close()
        await eventually(lambda: system.edge.connection_count == 0, "there is room")
    system.replicas[0].rejection = None
    system.replicas[0].set_kafka(True)
    await system.tickets.set_serving(True)
    await eventually(lambda: system.edge.is_ready, "the edge is ready")
    async with await listen(system, ticket="", last_id=last_id) as again:
        assert await numbers(again, 2) == [0, 1]
        assert again.parser.retry_ms in RETRY_MS


async def test_full_edges(make_system: MakeSystem) -> None:
    """Event streams and WebSockets share the places of a process."""
    system = await make_system(server_max_connections=2)
    first, _ = await listen(system), await system.connect()
    async with await listen(system) as stream:
        assert (stream.status, await stream.error()) == (503, AWAY)
    first.close()
    await eventually(lambda: system.edge.connection_count == 1, "a place is free")
    async with await listen(system) as stream:
        assert stream.status == 200


async def test_unforeseen_errors_show_nothing(system: System) -> None:
    """A fault of the ticket service is 500, and the place is given back."""
    system.tickets.is_failing = True
    async with await listen(system, ticket="", headers={"Authorization": "Bearer a:1"}) as stream:
        assert (stream.status, await stream.error()) == (500, {"message": "An unexpected error has occurred."})
    await eventually(lambda: system.edge.connection_count == 0, "no place is taken")


# ------------------------------------------------------------------------------------------------------ other origins


async def test_any_origin_by_default(system: System) -> None:
    """Pages of any origin may read streams, and what is said instead of one."""
    for query, status in (("", 200), ("&where=bad", 400)):
        path = target(system, query)
        response = await exchange(system.port, get(path, EVENTS | {"Origin": "https://app.example.com"}))
        assert response.status == status
        assert response.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in response.headers


async def test_an_allow_list(make_system: MakeSystem) -> None:
    """Only pages on it may read streams; others get 403, and clients that send no origin are no browsers."""
    system = await make_system(server_allowed_origins=("https://app.example.com",))
    allowed = await exchange(system.port, get(target(system), EVENTS | {"Origin": "https://app.example.com"}))
    assert allowed.status == 200
    assert allowed.headers["access-control-allow-origin"] == "https://app.example.com"
    assert allowed.headers["vary"] == "Origin"
    for origin in ("https://evil.example.com", "null", "https://app.example.com.evil.com", ""):
        refused = await exchange(system.port, get(target(system), EVENTS | {"Origin": origin}))
        assert refused.status == 403
        assert "access-control-allow-origin" not in refused.headers
    assert (await exchange(system.port, get(target(system), EVENTS))).status == 200


# ------------------------------------------------------------------------------------------------------------ secrets


async def test_secrets_are_not_logged(
    system: System, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """No line of an event stream's life holds ticket, token, credential, position or query, even unredacted."""
    write(system, numbered(2))
    secrets: list[str] = ["hush-hush"]
    with caplog.at_level(logging.DEBUG):
        for query in ("", "&where=bad+hush-hush", "&where[]=hush-hush", "&from=hush-hush"):
            await exchange(system.port, get(f"/kafka-ws/v1/topics/admin.t?ticket=admin:hush-hush{query}", EVENTS))
        bearer = {"Authorization": "Bearer admin:hush-hush"}
        async with await listen(system, ticket="", headers=bearer, from_="earliest") as stream:
            await stream.events(2)
            secrets += stream.last_id.split(".")
        for last_id in (stream.last_id, stream.last_id + ".hush-hush", "hush-hush." + secrets[-1]):
            async with await listen(system, ticket="", last_id=last_id) as again:
                assert again.status in (200, 400)
        await eventually(lambda: system.edge.connection_count == 0, "all have gone")
    logged = caplog.text + capsys.readouterr().out
    assert "event stream closed" in logged
    assert "/kafka-ws/v1/topics/admin.t" in logged
    assert [secret for secret in secrets if secret in logged] == []
