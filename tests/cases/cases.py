"""Sample cases of the contract: what a query gets for a message.

`where_fields.jsonl` came with behaviour (its first table says what the keys mean); `more_where_fields.jsonl` holds more
of the same kinds, written from behaviour's text. Read by the tests that run every case in process and by those that
run them over real WebSockets.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("where_fields.jsonl")
MORE = Path(__file__).with_name("more_where_fields.jsonl")


@dataclass(frozen=True)
class Closed:
    """The socket is closed with this code and reason."""

    code: int
    reason: str


@dataclass(frozen=True)
class Sent:
    """One text frame with this JSON value is sent."""

    value: Any


@dataclass(frozen=True)
class NothingSent:
    """Nothing is sent, and the socket stays open."""


Outcome = Closed | Sent | NothingSent


@dataclass(frozen=True)
class Case:
    """One query, one message, and what comes of them.

    Attributes:
        id: name of the case.
        group: name of its family.
        where: decoded parameter; None when it is absent.
        fields: decoded parameter; None when it is absent.
        query: the raw query string that gives `where` and `fields`; None when any will do.
        payload: the Kafka record's value.
        outcome: what the client sees.
    """

    id: str
    group: str
    where: str | None
    fields: str | None
    query: str | None
    payload: bytes
    outcome: Outcome


def load(*files: Path) -> list[Case]:
    """Every case of these files (none named: of all), in their order."""
    return [case for file in files or (FILE, MORE) for case in _read(file)]


def same_json(one: object, other: object) -> bool:
    """Whether two parsed JSON values are equal: 1 is 1.0, members have no order, but true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    return one == other


def _read(file: Path) -> Iterator[Case]:
    for line in filter(None, file.read_text(encoding="utf-8").split("\n")):
        case = json.loads(line)
        yield Case(
            id=case["id"],
            group=case["group"],
            where=case["where"],
            fields=case["fields"],
            query=case.get("query"),
            payload=_payload(case["message"]),
            outcome=_outcome(case["outcome"]),
        )


def _payload(message: object) -> bytes:
    if isinstance(message, dict) and message.keys() == {"raw"} and isinstance(message["raw"], str):
        return message["raw"].encode()
    return json.dumps(message).encode()


def _outcome(outcome: dict[str, Any]) -> Outcome:
    if "close" in outcome:
        return Closed(outcome["close"], outcome["reason"])
    return NothingSent() if outcome["sent"] is None else Sent(outcome["sent"])
