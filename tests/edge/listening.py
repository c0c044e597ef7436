"""Clients of server-sent events for tests of the edge between scripted parts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from edge.position_token import TokenPosition, decode
from tests.edge.conftest import System
from tests.edge.event_stream import Event, EventStream

CLOSED = ("close", {"code": 1000, "reason": ""})
"""What `ends` finds of a query over history."""


def numbered(count: int, first: int = 0) -> list[bytes]:
    """Payloads with the numbers from `first` on."""
    return [json.dumps({"n": number}).encode() for number in range(first, first + count)]


def write(system: System, values: Iterable[bytes], topic: str = "admin.t", partition: int = 0) -> None:
    """Append payloads to a topic."""
    for value in values:
        system.logs.write(topic, value, partition)


async def listen(
    system: System,
    topic: str = "admin.t",
    *,
    ticket: str | None = None,
    last_id: str = "",
    headers: Mapping[str, str] | None = None,
    version: str = "1.1",
    query: str | None = None,
    **parameters: str,
) -> EventStream:
    """Ask for events, with a fresh ticket unless one is given (empty: none). `from_` stands for `from`."""
    given = {name.removesuffix("_"): value for name, value in parameters.items()}
    target = system.client.target(
        topic, ticket=(system.ticket() if ticket is None else ticket) or None, query=query, parameters=given
    )
    return await EventStream.open(system.client.url, target, last_id=last_id, headers=headers, version=version)


async def numbers(stream: EventStream, count: int) -> list[int]:
    """The numbers of the next records."""
    return [value["n"] for value in await stream.values(count)]


def position_of(event: Event | str, topic: str = "admin.t") -> TokenPosition:
    """What an id says of the position."""
    text = event if isinstance(event, str) else event.id
    return decode(topic, text.partition(".")[0])


def credential_of(last_id: str) -> str:
    """The resume credential in an id."""
    return last_id.split(".")[1]


def ends(events: list[Event]) -> list[Any]:
    """What the events say that are no records, by type."""
    return [(event.type, event.value) for event in events if event.type != "message"]
