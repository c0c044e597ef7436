"""The table of processes as text: one row per process, `name address pid`, aligned in columns."""

from collections.abc import Sequence
from dataclasses import dataclass

NAME_WIDTH = 16
"""Characters of the first column, for names like `ticket-service`."""
ADDRESS_WIDTH = 22
"""Characters of the second column; an IPv4 address with a port has at most 21."""


@dataclass(frozen=True)
class Row:
    """One process.

    Attributes:
        name: of the part.
        address: `host:port` it listens at; `-` for none.
        pid: its process id.
    """

    name: str
    address: str
    pid: int

    def __str__(self) -> str:
        """The line of the table."""
        return _line(self.name, self.address, str(self.pid))


def table(rows: Sequence[Row]) -> str:
    """Heading and rows, a line each."""
    return "\n".join((_line("name", "address", "pid"), *map(str, rows)))


def _line(name: str, address: str, pid: str) -> str:
    return f"{name:<{NAME_WIDTH}}{address:<{ADDRESS_WIDTH}}{pid}"
