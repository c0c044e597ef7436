"""What the client processes tell the process that keeps the books: one JSON text a line, a few times a second."""

import json
from dataclasses import asdict, dataclass, field

REPORT_INTERVAL_SEC = 0.2

BUCKET_SEC = 0.1
"""Delays are told as the worst of each tenth of a second in which records came."""


@dataclass(frozen=True)
class ClientState:
    """Where one client is.

    :param number: of the client.
    :param edge: index of the edge that it has a stream from; None: none.
    :param next: next number in each partition.
    :param checked, lost, duplicated, unwanted: see `expectation.Tally`.
    """

    number: int
    edge: int | None
    next: list[int]
    checked: int
    lost: int
    duplicated: int
    unwanted: int


@dataclass(frozen=True)
class Note:
    """Something that has happened to a client.

    :param at: seconds of the monotonic clock.
    :param client: its number.
    :param what: `opened`, `closed` (by the edge), `left` (by the client), `refused` or `problem`.
    :param edge: index of the edge.
    :param code: close code or HTTP status; 0: none.
    :param text: for people.
    """

    at: float
    client: int
    what: str
    edge: int
    code: int = 0
    text: str = ""


@dataclass(frozen=True)
class Report:
    """Of one process.

    :param process: its number, from 0.
    :param clients: all of its clients.
    :param delays: (bucket, seconds from writing to arrival at most); a bucket is the time of arrival divided by
        `BUCKET_SEC`. The same bucket may be told again, with more.
    :param notes: since the last report.
    """

    process: int
    clients: list[ClientState]
    delays: list[tuple[int, float]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def encode(self) -> bytes:
        """One line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @staticmethod
    def decode(line: bytes) -> "Report":
        """The report that a line holds."""
        raw = json.loads(line)
        return Report(
            raw["process"],
            [ClientState(**each) for each in raw["clients"]],
            [(bucket, delay) for bucket, delay in raw["delays"]],
            [Note(**each) for each in raw["notes"]],
        )
