"""Where unused tickets and resume credentials are known: Redis (6.2 or newer) or Valkey, behind four operations.

Lives on the event loop; commands of one turn of it go as one pipeline. Keys are `<prefix>ticket:<digest in hex>` and
`<prefix>resume:<digest in hex>`; whoever deletes one revokes the ticket or credential. Values are opaque bytes, see
`ticket_service.grant`. A Redis user of our own needs the commands SET, GET and GETDEL. Errors of the redis client are
translated here, and nowhere else known.
"""

import asyncio
import ssl
from typing import Any

from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from runtime.gathering import Gathering, Question
from runtime.settings import ConfigurationError
from ticket_service.config import TicketServiceSettings
from ticket_service.errors import StoreUnavailableError
from ticket_service.grant import Purpose

CONNECTIONS_LIMIT = 64
"""Pipelines in progress at once; others wait."""
_POOL_WAIT_SEC = 2.0
"""How long a pipeline waits for a connection. With the time-outs of connecting and answering, it ends within 10 s."""
PIPELINE_LIMIT = 256
"""Commands that are sent together at most."""
_PROBE_TTL_MS = 1_000

_Command = tuple[str | bytes | int, ...]


class TicketStore:
    """Values by a purpose and the digest of what is presented, in Redis.

    Args:
        redis: the client; the store closes it.
        prefix: put in front of every key.
    """

    def __init__(self, redis: Redis, prefix: str) -> None:
        """Connects on first use."""
        self._redis = redis
        self._prefix = prefix
        self._commands: Gathering[_Command, Any] = Gathering(self._execute, limit=PIPELINE_LIMIT)

    async def put(self, purpose: Purpose, digest: bytes, value: bytes, ttl_ms: int) -> None:
        """Keeps a value for `ttl_ms` milliseconds (at least 1).

        Raises:
            StoreUnavailableError: Redis does not answer or does not take it.
        """
        await self._commands.ask(("SET", self._key(purpose, digest), value, "PX", max(1, ttl_ms)))

    async def take(self, purpose: Purpose, digest: bytes) -> bytes | None:
        """Takes a value out, in one step: of any number of takers one gets it. None: there is none.

        Raises:
            StoreUnavailableError: Redis does not answer; the value may be gone.
        """
        value: bytes | None = await self._commands.ask(("GETDEL", self._key(purpose, digest)))
        return value

    async def read(self, purpose: Purpose, digest: bytes) -> bytes | None:
        """A value, which stays. None: there is none.

        Raises:
            StoreUnavailableError: Redis does not answer.
        """
        value: bytes | None = await self._commands.ask(("GET", self._key(purpose, digest)))
        return value

    async def probe(self) -> None:
        """Does what issuing and redeeming need, so a replica that is read-only or full counts as away, too.

        Raises:
            StoreUnavailableError: it failed.
        """
        key = f"{self._prefix}probe"
        await asyncio.gather(
            self._commands.ask(("SET", key, b"", "PX", _PROBE_TTL_MS)), self._commands.ask(("GETDEL", key))
        )

    async def close(self) -> None:
        """Closes all connections."""
        await self._redis.aclose()

    async def _execute(self, questions: list[Question[_Command, Any]]) -> None:
        """Sends commands as one pipeline; which of them Redis refuses, it says for each."""
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for question in questions:
                    pipeline.execute_command(*question.request)
                answers = await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as error:
            raise _unavailable(error) from error
        for question, answer in zip(questions, answers, strict=True):
            if isinstance(answer, Exception):
                question.fail(_unavailable(answer))
            else:
                question.answer(answer)

    def _key(self, purpose: Purpose, digest: bytes) -> str:
        return f"{self._prefix}{purpose}:{digest.hex()}"


def connect(settings: TicketServiceSettings) -> TicketStore:
    """A store for the settings `redis_*`. Connections are made on use, and again after they broke.

    Raises:
        ConfigurationError: the file of certificates cannot be used.
    """
    arguments: dict[str, Any] = {
        "host": settings.redis_host,
        "port": settings.redis_port,
        "db": settings.redis_database,
        "username": settings.redis_username or None,
        "password": settings.redis_password.get_secret_value() if settings.redis_password else None,
        "socket_timeout": settings.redis_timeout_sec,
        "socket_connect_timeout": settings.redis_timeout_sec,
        "socket_keepalive": True,
        # Repeating a GETDEL whose answer was lost would call a good ticket unknown: 401 where 503 is the truth.
        "retry": Retry(NoBackoff(), 0),
        # RESP3 adds maintenance notices, for which the pool gives up its check of connections before use.
        "protocol": 2,
    }
    if settings.redis_tls:
        arguments["ssl_ca_certs"] = _checked_ca_file(settings.redis_tls_ca_file)
    pool = BlockingConnectionPool(
        max_connections=CONNECTIONS_LIMIT,
        timeout=_POOL_WAIT_SEC,
        connection_class=SSLConnection if settings.redis_tls else Connection,
        **arguments,
    )
    return TicketStore(Redis.from_pool(pool), settings.redis_key_prefix)


def _checked_ca_file(path: str) -> str | None:
    if not path:
        return None
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"KAFKA_WS_REDIS_TLS_CA_FILE: {path!r} cannot be read as PEM certificates: {error.strerror}."
        ) from None
    return path


def _unavailable(error: Exception) -> StoreUnavailableError:
    # redis-py's texts hold host, port and Redis' answer, never the password or a value.
    return StoreUnavailableError(f"{type(error).__name__}: {error}")
