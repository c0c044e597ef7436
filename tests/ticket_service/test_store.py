"""The ticket store on a real Valkey."""

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from tests.conftest import StartRedis
from tests.processes import free_port
from tests.redis_server import RedisAddress
from ticket_service.config import TicketServiceSettings
from ticket_service.errors import StoreUnavailableError
from ticket_service.grant import Purpose
from ticket_service.store import CONNECTIONS_LIMIT, PIPELINE_LIMIT, TicketStore, connect
from ticket_service.ticket import new_ticket, ticket_digest


def settings(address: RedisAddress, password: str = "", **changes: object) -> TicketServiceSettings:
    values: dict[str, object] = {
        "token_hs256_secret": SecretStr("s" * 32),
        "redis_host": address.host,
        "redis_port": address.port,
        "redis_password": SecretStr(password) if password else None,
        **changes,
    }
    return TicketServiceSettings.model_validate(values)


def fresh_digest() -> bytes:
    return ticket_digest(new_ticket())


@pytest.fixture
async def store(redis_address: RedisAddress) -> AsyncIterator[TicketStore]:
    store = connect(settings(redis_address))
    yield store
    await store.close()


@pytest.fixture
async def redis(redis_address: RedisAddress) -> AsyncIterator[Redis]:
    redis = Redis.from_url(redis_address.url)
    yield redis
    await redis.aclose()


async def test_a_value_is_taken_once(store: TicketStore) -> None:
    """What was put comes back, and is gone."""
    digest = fresh_digest()
    await store.put(Purpose.TICKET, digest, b"\0value\xff", 60_000)
    assert await store.take(Purpose.TICKET, digest) == b"\0value\xff"
    assert await store.take(Purpose.TICKET, digest) is None


async def take_apart(store: TicketStore, digests: Iterable[bytes]) -> list[bytes | None]:
    """Takes values at the same time, but not in one pipeline."""
    tasks = []
    for digest in digests:
        tasks.append(asyncio.create_task(store.take(Purpose.TICKET, digest)))
        # Asked for in this turn, sent in the next.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    return await asyncio.gather(*tasks)


@pytest.mark.parametrize("apart", [False, True], ids=["in one pipeline", "apart"])
async def test_of_many_takers_one_succeeds(store: TicketStore, apart: bool) -> None:
    """Taking is atomic, with more takers than connections."""
    digest = fresh_digest()
    await store.put(Purpose.TICKET, digest, b"value", 60_000)
    digests = [digest] * 3 * CONNECTIONS_LIMIT
    if apart:
        taken = await take_apart(store, digests)
    else:
        taken = await asyncio.gather(*(store.take(Purpose.TICKET, digest) for digest in digests))
    assert [value for value in taken if value is not None] == [b"value"]


async def test_commands_of_one_turn_go_together(start_redis: StartRedis) -> None:
    """Many at once need one connection, and each has its own answer."""
    server = start_redis()
    store, admin = connect(settings(server.address)), Redis.from_url(server.address.url)
    before = (await admin.info("stats"))["total_connections_received"]
    digests = [fresh_digest() for _ in range(100)]
    await asyncio.gather(*(store.put(Purpose.TICKET, digest, digest, 60_000) for digest in digests[:50]))
    taken = await asyncio.gather(*(store.take(Purpose.TICKET, digest) for digest in digests))
    assert taken == [*digests[:50], *[None] * 50]
    assert (await admin.info("stats"))["total_connections_received"] == before + 1
    await admin.aclose()
    await store.close()


async def test_an_error_of_one_command_is_nobody_elses(store: TicketStore, redis: Redis) -> None:
    """What Redis refuses is unavailable; the other commands of its pipeline have their answers."""
    good, bad = fresh_digest(), fresh_digest()
    await store.put(Purpose.TICKET, good, b"value", 60_000)
    await redis.hset(f"kafka-ws:ticket:{bad.hex()}", "not", "a string")
    answers = await asyncio.gather(
        *(store.take(Purpose.TICKET, digest) for digest in (bad, good, fresh_digest())), return_exceptions=True
    )
    assert isinstance(answers[0], StoreUnavailableError)
    assert answers[1:] == [b"value", None]


async def test_values_have_a_time_to_live_and_an_unreadable_name(store: TicketStore, redis: Redis) -> None:
    """Redis forgets a value in time; its key is the digest, under the prefix."""
    digest = fresh_digest()
    await store.put(Purpose.TICKET, digest, b"value", 60_000)
    remaining_ms = await redis.pttl(f"kafka-ws:ticket:{digest.hex()}")
    assert 0 < remaining_ms <= 60_000


async def test_nothing_left_to_live_is_no_error(store: TicketStore) -> None:
    """A token that expires in this very moment still gets a ticket, of one millisecond."""
    await store.put(Purpose.TICKET, fresh_digest(), b"value", 0)


async def test_a_value_is_read_many_times(store: TicketStore) -> None:
    """Reading leaves the value where it is."""
    digest = fresh_digest()
    await store.put(Purpose.RESUME, digest, b"\0value\xff", 60_000)
    for _ in range(3):
        assert await store.read(Purpose.RESUME, digest) == b"\0value\xff"
    assert await store.read(Purpose.RESUME, fresh_digest()) is None


async def test_purposes_have_their_own_keys(store: TicketStore) -> None:
    """What was stored for one purpose is not there for another."""
    digest = fresh_digest()
    await store.put(Purpose.RESUME, digest, b"value", 60_000)
    assert await store.take(Purpose.TICKET, digest) is None
    assert await store.read(Purpose.RESUME, digest) == b"value"


async def test_the_prefix_separates(redis_address: RedisAddress, store: TicketStore) -> None:
    """Two systems can share one Redis."""
    other = connect(settings(redis_address, redis_key_prefix="other:"))
    digest = fresh_digest()
    await store.put(Purpose.TICKET, digest, b"value", 60_000)
    assert await other.take(Purpose.TICKET, digest) is None
    await other.close()


async def test_a_store_that_is_not_there() -> None:
    """A refused connection is an unavailable store, at once."""
    store = connect(settings(RedisAddress("127.0.0.1", free_port())))
    for call in (
        store.put(Purpose.TICKET, b"d" * 32, b"", 1),
        store.take(Purpose.TICKET, b"d" * 32),
        store.read(Purpose.RESUME, b"d" * 32),
        store.probe(),
    ):
        with pytest.raises(StoreUnavailableError):
            await call
    await store.close()


async def test_a_store_that_accepts_and_says_nothing() -> None:
    """A hanging server is an unavailable store after the time-out."""
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _reader, writer: held.append(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    store = connect(settings(RedisAddress("127.0.0.1", port), redis_timeout_sec=0.2))
    with pytest.raises(StoreUnavailableError):
        await store.take(Purpose.TICKET, b"d" * 32)
    await store.close()
    for writer in held:
        writer.close()
    server.close()


async def test_a_restart_breaks_no_later_call(start_redis: StartRedis) -> None:
    """Connections that a restart has cut are replaced before use: the first call on each of them succeeds."""
    server = start_redis()
    store = connect(settings(server.address))
    # As many pipelines as there may be connections, all in one turn.
    many = CONNECTIONS_LIMIT * PIPELINE_LIMIT
    await asyncio.gather(*(store.take(Purpose.TICKET, b"d" * 32) for _ in range(many)))
    admin = Redis.from_url(server.address.url)
    assert (await admin.info("clients"))["connected_clients"] == CONNECTIONS_LIMIT + 1
    await admin.aclose()
    digest = fresh_digest()
    await store.put(Purpose.TICKET, digest, b"value", 60_000)
    server.stop()
    with pytest.raises(StoreUnavailableError):
        await store.take(Purpose.TICKET, digest)
    server.start()
    taken = await asyncio.gather(*(store.take(Purpose.TICKET, digest) for _ in range(many)))
    assert [value for value in taken if value is not None] == [b"value"]
    await store.close()


async def test_a_lost_answer_is_not_an_unknown_ticket(redis_address: RedisAddress, store: TicketStore) -> None:
    """When the connection breaks after Redis has done its part, the call is unavailable; asking again would say no."""
    answers_to_lose = 1

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answers_to_lose
        redis_reader, redis_writer = await asyncio.open_connection(*redis_address)
        while request := await reader.read(65536):
            redis_writer.write(request)
            answer = await redis_reader.read(65536)
            if answers_to_lose and b"GETDEL" in request:
                answers_to_lose -= 1
                break
            writer.write(answer)
        writer.close()
        redis_writer.close()

    proxy = await asyncio.start_server(forward, "127.0.0.1", 0)
    port = proxy.sockets[0].getsockname()[1]
    through_proxy = connect(settings(RedisAddress("127.0.0.1", port)))
    digest = fresh_digest()
    await store.put(Purpose.TICKET, digest, b"value", 60_000)
    with pytest.raises(StoreUnavailableError):
        await through_proxy.take(Purpose.TICKET, digest)
    assert await store.take(Purpose.TICKET, digest) is None
    assert await through_proxy.take(Purpose.TICKET, digest) is None
    await through_proxy.close()
    proxy.close()


async def test_a_cancelled_call_does_not_mix_up_answers(store: TicketStore) -> None:
    """Calls given up halfway leave no answers behind for the next call on the same connection."""
    digests = [fresh_digest() for _ in range(200)]
    for digest in digests:
        await store.put(Purpose.TICKET, digest, digest, 60_000)
    for digest in digests:
        task = asyncio.create_task(store.take(Purpose.TICKET, digest))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    for digest in digests:
        assert await store.take(Purpose.TICKET, digest) in (digest, None)


async def test_passwords(start_redis: StartRedis) -> None:
    """The right password works; a wrong one makes the store unavailable, and is not in the error's text."""
    server = start_redis(password="open-sesame")
    good, bad = connect(settings(server.address, "open-sesame")), connect(settings(server.address, "0pen-sesame"))
    await good.probe()
    with pytest.raises(StoreUnavailableError) as raised:
        await bad.probe()
    assert "sesame" not in str(raised.value)
    await good.close()
    await bad.close()


async def test_a_store_that_takes_no_writes_is_away(start_redis: StartRedis) -> None:
    """A read-only replica answers pings; it counts as unavailable nevertheless."""
    server = start_redis()
    store = connect(settings(server.address))
    await store.probe()
    admin = Redis.from_url(server.address.url)
    await admin.replicaof("127.0.0.1", str(free_port()))
    with pytest.raises(StoreUnavailableError):
        await store.probe()
    await admin.replicaof("NO", "ONE")
    await store.probe()
    await admin.aclose()
    await store.close()
