"""The Redis of the tests: what the fixtures promise to the other tests."""

import pytest
import redis

from tests.conftest import StartRedis
from tests.processes import ProcessFailedError
from tests.redis_server import RedisAddress


def test_the_shared_server_answers(redis_address: RedisAddress) -> None:
    """The address of the run's server is one that a client can use."""
    assert redis.Redis.from_url(redis_address.url).ping()


def test_keys_outlive_a_restart(start_redis: StartRedis) -> None:
    """A server that was stopped comes back at its port with its keys."""
    server = start_redis()
    client = redis.Redis(server.address.host, server.address.port)
    client.set("ticket", "1")
    server.stop()
    with pytest.raises(redis.ConnectionError):
        client.get("ticket")
    server.start()
    assert client.get("ticket") == b"1"


def test_a_password_is_required(start_redis: StartRedis) -> None:
    """A server with a password refuses who does not give it."""
    server = start_redis(password="open sesame")
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(server.address.host, server.address.port).ping()
    assert redis.Redis(server.address.host, server.address.port, password="open sesame").ping()


def test_a_server_that_fails_to_start_shows_its_log(start_redis: StartRedis) -> None:
    """The error of a server that ends at once holds what it wrote."""
    server = start_redis()
    server.stop()
    server.process.command.append("--no-such-option")
    with pytest.raises(ProcessFailedError, match="no-such-option"):
        server.start()
