"""The service as a process: start, outages, end; and that no secret gets into its logs."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import grpc.aio
import pytest
from grpc_reflection.v1alpha import reflection_pb2

from tests.conftest import StartRedis
from tests.processes import free_port
from tests.redis_server import RedisAddress
from tests.ticket_service.conftest import Connect, StartService
from tests.ticket_service.issuer import (
    SECRET,
    KeySetServer,
    base64url,
    claims,
    hmac_token,
    public_pem,
    published,
    signed_token,
)
from tests.ticket_service.service import NAME, PATIENCE_SEC, service_process

GRANT_SECRET = "the secret of grants, long enough for its end"
STORE_AWAY = ("UNAVAILABLE", "The ticket store cannot be reached at this moment.")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "KAFKA_WS_TOKEN_HS256_SECRET, KAFKA_WS_TOKEN_PUBLIC_KEY or KAFKA_WS_TOKEN_JWKS_URL: set at least one"),
        ({"KAFKA_WS_TOKEN_HS256_SECRET": SECRET, "KAFKA_WS_REDIS_PORT": "abc"}, "KAFKA_WS_REDIS_PORT: 'abc' is not"),
        ({"KAFKA_WS_TOKEN_TRUST_GATEWAY": "true"}, "KAFKA_WS_TICKET_GRANT_SECRET: must be set"),
        ({"KAFKA_WS_TOKEN_HS256_SECRET_FILE": "/nonexistent"}, "KAFKA_WS_TOKEN_HS256_SECRET_FILE: cannot read"),
        (
            {"KAFKA_WS_TOKEN_PUBLIC_KEY": "x", "KAFKA_WS_TICKET_GRANT_SECRET": GRANT_SECRET},
            "KAFKA_WS_TOKEN_PUBLIC_KEY: holds no PEM block",
        ),
        (
            {"KAFKA_WS_TOKEN_HS256_SECRET": SECRET, "KAFKA_WS_GRPC_TLS_CERT_FILE": "/nonexistent"},
            "KAFKA_WS_GRPC_TLS_CERT_FILE, KAFKA_WS_GRPC_TLS_KEY_FILE: set both or neither",
        ),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value.split(":")[0],
)
def test_wrong_settings_end_the_process(tmp_path: Path, settings: dict[str, str], expected: str) -> None:
    """The process exits with 78 and a sentence that names the variable, not a traceback."""
    process = service_process(settings, tmp_path / "log")
    process.start()
    assert process.wait(PATIENCE_SEC) == 78
    assert expected in process.log()
    assert "Traceback" not in process.log()
    assert SECRET not in process.log()


def test_a_port_that_is_taken(tmp_path: Path, start_service: StartService) -> None:
    """A second service on the same port does not start, silently sharing the connections."""
    _, address = start_service({"KAFKA_WS_TOKEN_HS256_SECRET": SECRET})
    settings = {"KAFKA_WS_TOKEN_HS256_SECRET": SECRET, "KAFKA_WS_TICKET_GRPC_PORT": address.split(":")[1]}
    process = service_process(settings, tmp_path / "second")
    process.start()
    assert process.wait(PATIENCE_SEC) == 78
    assert f"cannot listen on {address}" in process.log()


async def test_redis_away_and_back(start_redis: StartRedis, start_service: StartService, connect: Connect) -> None:
    """While Redis is away calls say UNAVAILABLE and health NOT_SERVING; when it is back all works, by itself."""
    redis = start_redis()
    _, address = start_service({"KAFKA_WS_TOKEN_HS256_SECRET": SECRET, **redis.address.settings()})
    client = connect(address)
    await client.wait_health(True)
    await client.wait_health(True, "")
    authorization = f"Bearer {hmac_token()}"
    kept = (await client.issue(authorization)).ticket
    redis.stop()
    await client.wait_health(False)
    await client.wait_health(False, "")
    assert await client.issue_outcome(authorization) == STORE_AWAY
    assert await client.redeem_outcome(kept) == STORE_AWAY
    assert await client.redeem_outcome("malformed") == ("UNAUTHENTICATED", "Invalid ticket")
    assert await client.issue_outcome("Bearer x") == ("UNAUTHENTICATED", "Invalid JWT token")
    redis.start()
    await client.wait_health(True)
    assert (await client.issue_outcome(authorization))[0] == "OK"
    assert await client.redeem_outcome(kept) == ("OK", "admin")


async def test_redis_hangs(start_redis: StartRedis, start_service: StartService, connect: Connect) -> None:
    """A Redis that holds connections and says nothing is as good as away, within the time-out."""
    redis = start_redis()
    settings = {"KAFKA_WS_TOKEN_HS256_SECRET": SECRET, "KAFKA_WS_REDIS_TIMEOUT_SEC": "0.3"}
    _, address = start_service({**settings, **redis.address.settings()})
    client = connect(address)
    await client.wait_health(True)
    redis.process.signal(signal.SIGSTOP)
    try:
        await client.wait_health(False)
        outcomes = await asyncio.gather(*(client.issue_outcome(f"Bearer {hmac_token()}") for _ in range(100)))
        assert set(outcomes) == {STORE_AWAY}
    finally:
        redis.process.signal(signal.SIGCONT)
    await client.wait_health(True)
    assert (await client.issue_outcome(f"Bearer {hmac_token()}"))[0] == "OK"


async def test_it_starts_without_redis(start_service: StartService, connect: Connect) -> None:
    """The order in which parts start does not matter: without Redis it listens, and is not healthy."""
    _, address = start_service({"KAFKA_WS_TOKEN_HS256_SECRET": SECRET, "KAFKA_WS_REDIS_PORT": str(free_port())})
    client = connect(address)
    await client.wait_health(False)
    assert await client.issue_outcome(f"Bearer {hmac_token()}") == STORE_AWAY


async def test_an_unused_ticket_expires(
    redis_address: RedisAddress, start_service: StartService, connect: Connect
) -> None:
    """A ticket older than its time to live is refused."""
    settings = {"KAFKA_WS_TOKEN_HS256_SECRET": SECRET, "KAFKA_WS_TICKET_EXPIRATION_SEC": "1"}
    _, address = start_service({**settings, **redis_address.settings()})
    client = connect(address)
    await client.wait_health(True)
    ticket = (await client.issue(f"Bearer {hmac_token()}")).ticket
    await asyncio.sleep(1.1)
    assert await client.redeem_outcome(ticket) == ("UNAUTHENTICATED", "Invalid ticket")


async def test_a_ticket_is_redeemed_by_another_replica(
    redis_address: RedisAddress, start_service: StartService, connect: Connect
) -> None:
    """Replicas share nothing but Redis and the secret, and together still honour a ticket once."""
    settings = {"KAFKA_WS_TOKEN_HS256_SECRET": SECRET, **redis_address.settings()}
    one, other = (connect(start_service(settings)[1]) for _ in range(2))
    await one.wait_health(True)
    await other.wait_health(True)
    ticket = (await one.issue(f"Bearer {hmac_token()}")).ticket
    outcomes = await asyncio.gather(*(client.redeem_outcome(ticket) for client in [one, other] * 20))
    assert outcomes.count(("OK", "admin")) == 1


async def test_a_gateway_is_trusted_loudly(
    redis_address: RedisAddress, start_service: StartService, connect: Connect
) -> None:
    """The explicit setting works as the original does, and the log says what it means."""
    settings = {"KAFKA_WS_TOKEN_TRUST_GATEWAY": "true", "KAFKA_WS_TICKET_GRANT_SECRET": GRANT_SECRET}
    process, address = start_service({**settings, **redis_address.settings()})
    client = connect(address)
    await client.wait_health(True)
    payload = base64url(json.dumps(claims(service="someone")).encode())
    ticket = (await client.issue(f"Bearer anything.{payload}")).ticket
    assert await client.redeem_outcome(ticket) == ("OK", "someone")
    events = [json.loads(line) for line in process.log().splitlines()]
    warning = next(event for event in events if event["level"] == "warning")
    assert warning["event"].startswith("TOKENS ARE NOT VERIFIED")
    assert warning["variable"] == "KAFKA_WS_TOKEN_TRUST_GATEWAY"


async def test_published_keys_rotate(
    redis_address: RedisAddress, start_service: StartService, connect: Connect, key_set_server: KeySetServer
) -> None:
    """With a JWK set: unavailable until there are keys, then verified, and a new key needs no restart."""
    key_set_server.status = 500
    settings = {
        "KAFKA_WS_TOKEN_JWKS_URL": key_set_server.url,
        "KAFKA_WS_TOKEN_PUBLIC_KEY": public_pem("ed"),
        "KAFKA_WS_TICKET_GRANT_SECRET": GRANT_SECRET,
    }
    _, address = start_service({**settings, **redis_address.settings()})
    client = connect(address)
    await client.wait_health(True)
    old, new = signed_token("rsa", "RS256", key_id="old"), signed_token("p256", "ES256", key_id="new")
    keys_away = ("UNAVAILABLE", "The keys to verify tokens with cannot be had at this moment.")
    assert await client.issue_outcome(f"Bearer {old}") == keys_away
    assert (await client.issue_outcome(f"Bearer {signed_token('ed', 'EdDSA')}"))[0] == "OK"
    key_set_server.publish([published("rsa", "old")])
    key_set_server.status = 200
    assert (await client.issue_outcome(f"Bearer {old}"))[0] == "OK"
    key_set_server.publish([published("rsa", "old"), published("p256", "new")])
    assert (await client.issue_outcome(f"Bearer {new}"))[0] == "OK"
    assert (await client.issue_outcome(f"Bearer {old}"))[0] == "OK"


async def test_no_secret_gets_into_the_log(
    start_redis: StartRedis, start_service: StartService, connect: Connect
) -> None:
    """Neither tokens, tickets, resume credentials nor configured secrets are written, in good times and bad ones."""
    redis = start_redis(password="open-sesame-123")
    settings = {
        "KAFKA_WS_TOKEN_HS256_SECRET": SECRET,
        "KAFKA_WS_TICKET_GRANT_SECRET": GRANT_SECRET,
        "KAFKA_WS_REDIS_PASSWORD": "open-sesame-123",
        "KAFKA_WS_LOG_LEVEL": "debug",
        **redis.address.settings(),
    }
    process, address = start_service(settings)
    client = connect(address)
    await client.wait_health(True)
    good, bad = hmac_token(), hmac_token(secret="some other secret, long enough for it")
    ticket = (await client.issue(f"Bearer {good}")).ticket
    redeemed = (await client.redeem_with(ticket, "admin.t")).resume_credential
    verified = (await client.verify(f"Bearer {good}", "admin.t")).resume_credential
    await client.redeem_outcome(ticket)
    await client.issue_outcome(f"Bearer {bad}")
    await client.issue_outcome(f"Basic {bad}")
    await client.verify_outcome(f"Bearer {bad}")
    await client.resume_outcome(redeemed, "admin.t")
    await client.resume_outcome(verified, "admin.other")
    await client.resume_outcome("x" + redeemed, "admin.t")
    redis.kill()
    await client.redeem_outcome(ticket)
    await client.issue_outcome(f"Bearer {good}")
    await client.verify_outcome(f"Bearer {good}", "admin.t")
    await client.resume_outcome(redeemed, "admin.t")
    process.stop()
    log = process.log()
    assert '"event": "refused"' in log
    assert '"event": "unavailable"' in log
    parts = [part for token in (good, bad) for part in token.split(".")]
    for secret in (SECRET, GRANT_SECRET, "open-sesame", ticket, ticket_prefix(ticket), redeemed, verified, *parts):
        assert secret not in log


def ticket_prefix(ticket: str) -> str:
    """Enough of a ticket to recognise it by."""
    return ticket[:16]


async def test_sigterm_drains(redis_address: RedisAddress, start_service: StartService, connect: Connect) -> None:
    """SIGTERM ends the process in order, with status 0."""
    settings = {"KAFKA_WS_TOKEN_HS256_SECRET": SECRET, **redis_address.settings()}
    process, address = start_service(settings)
    client = connect(address)
    await client.wait_health(True)
    process.signal(signal.SIGTERM)
    assert process.wait(PATIENCE_SEC) == 0
    events = [json.loads(line)["event"] for line in process.log().splitlines()]
    assert events[-2:] == ["draining", "stopped"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's table of sockets: run it on Linux")
async def test_a_call_in_progress_is_finished_on_sigterm(
    start_redis: StartRedis, start_service: StartService, connect: Connect
) -> None:
    """A call that waits for Redis when SIGTERM comes still gets its answer."""
    redis = start_redis()
    settings = {"KAFKA_WS_TOKEN_HS256_SECRET": SECRET, "KAFKA_WS_REDIS_TIMEOUT_SEC": "30"}
    process, address = start_service({**settings, **redis.address.settings()})
    client = connect(address)
    await client.wait_health(True)
    redis.process.signal(signal.SIGSTOP)
    issue = asyncio.create_task(client.issue_outcome(f"Bearer {hmac_token()}"))
    async with asyncio.timeout(PATIENCE_SEC):
        while not redis_has_input(redis.address.port):  # noqa: ASYNC110 - known to the kernel only
            await asyncio.sleep(0.01)
        process.signal(signal.SIGTERM)
        while '"event": "draining"' not in process.log():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
    redis.process.signal(signal.SIGCONT)
    assert (await issue)[0] == "OK"
    assert process.wait(PATIENCE_SEC) == 0


def redis_has_input(port: int) -> bool:
    """Whether a stopped server has at least two requests (the probe and the call) waiting in its sockets."""
    waiting = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, queues = line.split()[1], line.split()[4]
        waiting += int(local.split(":")[1], 16) == port and int(queues.split(":")[1], 16) > 0
    return waiting >= 2


async def test_reflection(start_service: StartService) -> None:
    """The contract can be explored with the usual tools."""
    _, address = start_service({"KAFKA_WS_TOKEN_HS256_SECRET": SECRET})
    async with grpc.aio.insecure_channel(address) as channel:
        info = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        call = info(iter([request]), wait_for_ready=True, timeout=PATIENCE_SEC)
        async for response in call:
            names = {service.name for service in response.list_services_response.service}
            break
    assert {NAME, "grpc.health.v1.Health"} <= names
