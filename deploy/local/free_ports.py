"""Picks TCP ports for the parts whose port nobody chose.

Called by the launcher before anything starts. A part keeps its port over restarts, so the ports must not be taken by
someone else while it is down: they are picked outside the range from which the system serves outgoing connections and
listeners on port 0, at random, so that two local runs do not meet.
"""

import errno
import random
import socket
from pathlib import Path

LOWEST_PORT = 15_000
"""Well above the ports that services are known by."""
DEFAULT_EPHEMERAL_START = 32_768
"""Linux' default; macOS and Windows begin at 49152."""
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_ATTEMPTS = 200


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen at `host:port` now. Lingering closed connections do not count.

    Raises:
        OSError: the host is no address of this machine, or the port is reserved to root.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def ephemeral_start() -> int:
    """The first port that the system gives to outgoing connections."""
    try:
        return int(_EPHEMERAL_RANGE.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return DEFAULT_EPHEMERAL_START


class FreePorts:
    """Hands out free ports of one host, each once.

    Args:
        host: the address the ports will be listened on at.
    """

    def __init__(self, host: str) -> None:
        """Starts with none handed out."""
        self._host = host
        self._taken: set[int] = set()

    def reserve(self, port: int) -> None:
        """Keeps a port from being handed out."""
        self._taken.add(port)

    def pick(self) -> int:
        """A port that is free now and has not been handed out.

        Raises:
            OSError: there is none.
        """
        end = ephemeral_start()
        if end - LOWEST_PORT >= _ATTEMPTS:
            for candidate in random.sample(range(LOWEST_PORT, end), _ATTEMPTS):
                if candidate not in self._taken and is_free(self._host, candidate):
                    self._taken.add(candidate)
                    return candidate
        return self._any_port()

    def _any_port(self) -> int:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((self._host, 0))
            port = int(probe.getsockname()[1])
        self._taken.add(port)
        return port
