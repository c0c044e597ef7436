"""What the edge says over HTTP, before and instead of a WebSocket."""

import json
import logging
import re

import pytest
from websockets.exceptions import InvalidStatus

from tests.edge.conftest import MakeSystem, System, eventually
from tests.edge.raw import HANDSHAKE, RawResponse, exchange, get
from tests.stack.client import CloseEvent

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture
async def system(make_system: MakeSystem) -> System:
    """An edge with one replica."""
    return await make_system()


def is_json(response: RawResponse, status: int, message: str) -> bool:
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.headers["server"] == "kafka-ws"
    return (response.status, json.loads(response.rest)) == (status, {"message": message})


@pytest.mark.parametrize(
    ("target", "status", "message"),
    [
        ("/", 404, "Not Found"),
        ("/kafka-ws/v1/ticket/", 404, "Not Found"),
        ("/kafka-ws/v1/", 404, "Not Found"),
        ("/kafka-ws/v1/topics", 404, "Not Found"),
        ("/kafka-ws/v1/topics/", 404, "Not Found"),
        ("/kafka-ws/v1/topics//", 404, "Not Found"),
        ("/kafka-ws/v1/topics/a/b", 404, "Not Found"),
        ("/kafka-ws/v1/topics/a//", 404, "Not Found"),
        ("/kafka-ws/v1/topics/%zz?ticket=admin:1", 400, "Bad Request"),
        ("/kafka-ws/v1/topics/a%", 400, "Bad Request"),
        ("/kafka-ws/v1/topics/%E9", 400, "Bad Request"),
        ("/kafka-ws/v1/topics/a.b", 401, "Missing ticket"),
        ("/kafka-ws/v1/topics/a.b/?where=x", 401, "Missing ticket"),
        ("/kafka-ws/v1/topics/a.b?ticket=", 401, "Missing ticket"),
        ("/kafka-ws/v1/topics/a.b?ticket=x", 401, "Invalid ticket"),
        ("/kafka-ws/v1/topics/a.b?ticket=a:1&ticket=a:1", 401, "Invalid ticket"),
        ("/kafka-ws/v1/topics/a.b?ticket[]=a:1", 401, "Invalid ticket"),
        ("/kafka-ws/v1/topics/a.b?ticket=&ticket=", 401, "Invalid ticket"),
        ("/kafka-ws/v1/topics/a.b?Ticket=a:1", 401, "Missing ticket"),
    ],
)
async def test_refusals(system: System, target: str, status: int, message: str) -> None:
    """Each refusal is the same JSON with and without a handshake, and never a 101."""
    assert is_json(await exchange(system.port, get(target, {"Host": "edge"})), status, message)
    assert is_json(await exchange(system.port, get(target, HANDSHAKE)), status, message)


@pytest.mark.parametrize(
    ("method", "target", "allow"),
    [
        ("POST", "/kafka-ws/v1/ticket", "GET, HEAD"),
        ("OPTIONS", "/kafka-ws/v1/ticket", "GET, HEAD"),
        ("BREW", "/kafka-ws/v1/ticket", "GET, HEAD"),
        ("POST", "/kafka-ws/v1/topics/a.b?ticket=a:1", "GET"),
        ("HEAD", "/kafka-ws/v1/topics/a.b?ticket=a:1", "GET"),
        ("DELETE", "/healthz", "GET, HEAD"),
    ],
)
async def test_methods(system: System, method: str, target: str, allow: str) -> None:
    """Other methods get 405 with what is allowed."""
    response = await exchange(system.port, get(target, {"Host": "edge", "Content-Length": "0"}, method=method))
    assert response.status == 405
    assert response.headers["allow"] == allow


async def test_plain_request_with_good_ticket(system: System) -> None:
    """A good ticket without a handshake gets 426, in the documented words, and is used up."""
    target = "/kafka-ws/v1/topics/admin.t?ticket=" + system.ticket()
    response = await exchange(system.port, get(target, {"Host": "edge"}))
    assert response.status == 426
    assert response.headers["content-type"].startswith("text/plain")
    assert response.headers["upgrade"] == "websocket"
    assert response.rest == b"Invalid request - non-WebSocket connection received in WS endpoint"
    assert is_json(await exchange(system.port, get(target, HANDSHAKE)), 401, "Invalid ticket")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Sec-WebSocket-Key": "x"}, 400),
        ({"Connection": "close"}, 400),
        ({"Upgrade": "h2c"}, 400),
        ({"Sec-WebSocket-Version": "7"}, 426),
    ],
)
async def test_broken_handshakes(system: System, changes: dict[str, str], status: int) -> None:
    """A broken handshake gets 400, another version 426 with the right one; nothing stays open."""
    target = "/kafka-ws/v1/topics/admin.t?ticket=" + system.ticket()
    response = await exchange(system.port, get(target, HANDSHAKE | changes))
    assert response.status == status
    assert response.headers.get("sec-websocket-version") == ("13" if status == 426 else None)
    assert system.edge.connection_count == 0
    assert system.open_count == 0


async def test_accepted_handshake_promises_nothing_else(system: System) -> None:
    """Neither subprotocol nor compression is agreed to."""
    offers = {"Sec-WebSocket-Protocol": "chat", "Sec-WebSocket-Extensions": "permessage-deflate"}
    target = "/kafka-ws/v1/topics/admin.t?ticket=" + system.ticket()
    response = await exchange(system.port, get(target, HANDSHAKE | offers))
    assert response.status == 101
    assert not {"sec-websocket-protocol", "sec-websocket-extensions"} & response.headers.keys()


@pytest.mark.parametrize(
    ("topic", "close"),
    [
        ("other.t", CloseEvent(4403, "Tenant can't access this topic")),
        ("Admin.t", CloseEvent(4403, "Tenant can't access this topic")),
        ("admin", CloseEvent(4403, "Tenant can't access this topic")),
        ("administrator.t", CloseEvent(4403, "Tenant can't access this topic")),
    ],
)
async def test_forbidden_topic(system: System, topic: str, close: CloseEvent) -> None:
    """Another tenant's topic is closed after the handshake, and the filter is not asked."""
    socket = await system.connect(topic, where="bad")
    assert await socket.closed() == close
    assert system.replicas[0].opens == []


@pytest.mark.parametrize("query", ["where=a&where=a", "where[]=a", "fields=a&fields=a", "fields[x]=a", "fields[]="])
async def test_ambiguous_parameters(system: System, query: str) -> None:
    """A filter or projection that is given twice or in brackets is refused, never dropped."""
    socket = await system.connect(query=query)
    assert await socket.closed() == CloseEvent(4000, "invalid syntax")


async def test_forbidden_comes_before_where(system: System) -> None:
    """4403 wins over what is wrong with the query."""
    socket = await system.connect("other.t", query="where[]=a")
    assert (await socket.closed()).code == 4403


async def test_rejected_query(system: System) -> None:
    """What the filter rejects is told after the handshake, and the ticket is used up."""
    ticket = system.ticket()
    socket = await system.client.connect("admin.t", ticket=ticket, where="bad")
    assert await socket.closed() == CloseEvent(4000, "invalid syntax")
    with pytest.raises(InvalidStatus):
        await system.client.connect("admin.t", ticket=ticket)


async def test_query_reaches_the_filter_as_written(system: System) -> None:
    """Topic, `where` and `fields` arrive decoded once, untrimmed."""
    await system.connect("admin.a/b é", where=' a=in:"x;y",+%41;', fields="a(b, c)/d")
    wanted = system.replicas[0].opens[0].subscription
    assert wanted.topic == "admin.a/b é"
    assert wanted.query.where == ' a=in:"x;y",+%41;'
    assert wanted.query.fields == "a(b, c)/d"


async def test_long_query(system: System) -> None:
    """64 KB of `where`, all of it escaped, arrive."""
    where = "é" * 32_768
    await system.connect(where=where)
    assert system.replicas[0].opens[0].subscription.query.where == where


async def test_many_parameters(system: System) -> None:
    """A `where` behind thousands of other parameters counts."""
    await system.connect(query="&".join(f"p{number}=1" for number in range(3000)) + "&where=x")
    assert system.replicas[0].opens[0].subscription.query.where == "x"


async def test_origins(make_system: MakeSystem) -> None:
    """With an allow-list other origins get 403; those on it, and clients that send none, are let in."""
    system = await make_system(server_allowed_origins=("https://app.example.com", "http://localhost:3000"))
    await system.connect()
    await system.connect(headers={"Origin": "http://localhost:3000"})
    for origin in ("https://evil.example.com", "null", "https://app.example.com.evil.com", ""):
        with pytest.raises(InvalidStatus) as refusal:
            await system.connect(headers={"Origin": origin})
        assert refusal.value.response.status_code == 403
    assert system.open_count == 1


async def test_any_origin_by_default(system: System) -> None:
    """Without an allow-list every origin is let in."""
    await system.connect(headers={"Origin": "https://anything.example.com"})


@pytest.mark.parametrize("received", ["abc-123", "x" * 128, "a/b:c!~"])
async def test_sane_request_id_is_echoed(system: System, received: str) -> None:
    """A visible ASCII id of up to 128 characters comes back, in refusals too."""
    for target in ("/healthz", "/nowhere"):
        response = await exchange(system.port, get(target, {"Host": "edge", "X-Request-Id": received}))
        assert response.headers["x-request-id"] == received


@pytest.mark.parametrize("received", ["", "x" * 129, "a b", "\xe9", "a,b\tc"])
async def test_other_request_ids_are_replaced(system: System, received: str) -> None:
    """Anything else is replaced by a UUID."""
    response = await exchange(system.port, get("/healthz", {"Host": "edge", "X-Request-Id": received}))
    assert UUID.fullmatch(response.headers["x-request-id"])


async def test_ticket_is_not_cached(system: System) -> None:
    """A ticket comes as JSON that nobody may keep; HEAD has no body."""
    headers = {"Host": "edge", "Authorization": "Bearer admin:9"}
    response = await exchange(system.port, get("/kafka-ws/v1/ticket", headers))
    assert (response.status, json.loads(response.rest)) == (200, {"ticket": "admin:9"})
    assert response.headers["cache-control"] == "no-store"
    assert (await exchange(system.port, get("/kafka-ws/v1/ticket", headers, method="HEAD"))).status == 200
    refusal = await exchange(system.port, get("/kafka-ws/v1/ticket", {"Host": "edge"}))
    assert is_json(refusal, 401, "Missing JWT token")


async def test_unforeseen_error_shows_nothing(
    system: System, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failure inside gives 500 with one sentence; the log names it, without the token."""
    system.tickets.is_failing = True
    request = get("/kafka-ws/v1/ticket", {"Host": "edge", "Authorization": "Bearer hush-hush"})
    with caplog.at_level(logging.DEBUG):
        response = await exchange(system.port, request)
    assert is_json(response, 500, "An unexpected error has occurred.")
    logged = caplog.text + capsys.readouterr().out
    assert "unforeseen error" in logged
    assert "hush-hush" not in logged


async def test_ticket_service_away(system: System) -> None:
    """Without the ticket service both endpoints answer 503, and readiness names it."""
    await system.tickets.stop()
    await eventually(lambda: not system.edge.is_ready, "the edge is not ready")
    ticket = await exchange(system.port, get("/kafka-ws/v1/ticket", {"Host": "edge", "Authorization": "Bearer x"}))
    assert is_json(ticket, 503, "Service Unavailable")
    topic = await exchange(system.port, get("/kafka-ws/v1/topics/admin.t?ticket=admin:1", HANDSHAKE))
    assert is_json(topic, 503, "Service Unavailable")
    ready = await exchange(system.port, get("/readyz", {"Host": "edge"}))
    assert ready.status == 503
    assert json.loads(ready.rest)["dependencies"] == {"filter_service": "ready", "ticket_service": "unavailable"}
    assert (await exchange(system.port, get("/healthz", {"Host": "edge"}))).status == 200


async def test_unhealthy_ticket_service(system: System) -> None:
    """A ticket service without its store makes the edge unready, until it is back."""
    await system.tickets.set_serving(False)
    await eventually(lambda: not system.edge.is_ready, "the edge is not ready")
    await system.tickets.set_serving(True)
    await eventually(lambda: system.edge.is_ready, "the edge is ready again")


async def test_unready_edge_keeps_the_ticket(system: System) -> None:
    """A client that is refused with 503 before its ticket was looked at can use it again."""
    ticket = system.ticket()
    system.replicas[0].set_kafka(False)
    await eventually(lambda: not system.edge.is_ready, "the edge is not ready")
    with pytest.raises(InvalidStatus) as refusal:
        await system.client.connect("admin.t", ticket=ticket)
    assert refusal.value.response.status_code == 503
    system.replicas[0].set_kafka(True)
    await eventually(lambda: system.edge.is_ready, "the edge is ready")
    await system.client.connect("admin.t", ticket=ticket)


async def test_lifetimes(make_system: MakeSystem) -> None:
    """A token that has expired closes the socket at once when it is the only limit."""
    system = await make_system(server_connection_max_life_time=0, server_jwt_exp_time=True)
    system.tickets.expires_at_ms = 1000
    socket = await system.connect()
    assert await socket.closed() == CloseEvent(4408, "Connection lifetime")
    await eventually(lambda: system.open_count == 0 and system.edge.connection_count == 0, "nothing is held")


async def test_secrets_are_not_logged(
    system: System, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """No line of a client's life holds its ticket, even before the logs' own redaction."""
    with caplog.at_level(logging.DEBUG):
        for query in ("", "&where=bad", "&where[]=", "&ticket=x"):
            target = f"/kafka-ws/v1/topics/admin.t?ticket=admin:hush-hush-{len(query)}{query}"
            await exchange(system.port, get(target, HANDSHAKE))
            await exchange(system.port, get(target, {"Host": "edge"}))
    logged = caplog.text + capsys.readouterr().out
    assert "/kafka-ws/v1/topics/admin.t" in logged
    assert "hush-hush" not in logged


async def test_too_many_parameters(system: System) -> None:
    """What no honest client sends is refused before it has cost much: more than ten thousand parameters."""
    target = "/kafka-ws/v1/topics/admin.t?" + "a&" * 10_000 + "where=x"
    assert (await exchange(system.port, get(target, HANDSHAKE))).status == 400
    assert system.replicas[0].opens == []


async def test_logged_paths_are_cut(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    """A request fills a line of the log, and not a page of it."""
    await exchange(system.port, get("/" + "x" * 100_000, {"Host": "edge"}))
    assert "/xxx" in (logged := capsys.readouterr().out)
    assert "x" * 1_000 not in logged


async def test_oversized_headers(system: System) -> None:
    """More headers than allowed end the connection, not the service."""
    request = get("/healthz", {"Host": "edge", "X": "x" * 300_000})
    with pytest.raises((ConnectionError, EOFError)):
        await exchange(system.port, request)
    assert (await exchange(system.port, get("/healthz", {"Host": "edge"}))).status == 200
