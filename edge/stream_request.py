"""What a client asks for in the query string of a topic, decoded and checked. Pure; called by the handlers.

`where` and `fields` are the filter service's to judge; everything else is read here:

    format   value (default) | record
    from     latest (default) | earliest | a time | a position
    until    latest | a time | a position; absent: never
    on_gap   close (default) | continue, with `format=record`

A time is ISO 8601 (without an offset: UTC) or milliseconds since the epoch, a position what the service has told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from kafka_ws.filter.v1 import filter_pb2

from edge.errors import CloseCode, StreamEndedError
from edge.position_token import PositionTokenError, TokenPosition, decode
from edge.query import Parameter

PARAMETERS = ("where", "fields", "format", "from", "until", "on_gap")
"""Names of the parameters, besides `ticket`."""

_MILLISECONDS = re.compile(r"[0-9]{1,15}", re.ASCII)
_ISO_8601 = re.compile(r"[0-9]{4}-[0-9]{2}", re.ASCII)
"""How a time, and nothing else that is allowed, begins."""

_EPOCH = datetime.fromtimestamp(0, UTC)

_ABSENT = Parameter()


class Transport(StrEnum):
    """How records travel to the client."""

    WEBSOCKET = "websocket"
    EVENTS = "events"


class Format(StrEnum):
    """What is sent for a record."""

    VALUE = "value"
    RECORD = "record"


@dataclass(frozen=True, slots=True)
class StreamKey:
    """What sockets must have in common to share a subscription: the exact texts, never a fingerprint of them.

    Attributes:
        topic: Kafka topic name.
        where: filter expression as the client wrote it.
        fields: projection as the client wrote it.
        format: what is sent for a record.
        transport: how.
        skips_gaps: whether to go on, with a notice, behind records that are gone.
        compressed: whether frames are compressed.
    """

    topic: str
    where: str
    fields: str
    format: Format = Format.VALUE
    transport: Transport = Transport.WEBSOCKET
    skips_gaps: bool = False
    compressed: bool = False


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """A stream of records.

    Attributes:
        key: what is delivered.
        start: where it begins; None: at the end, with what comes.
        stop: where it ends; None: never.
    """

    key: StreamKey
    start: filter_pb2.Start | None = None
    stop: filter_pb2.Stop | None = None


def parse(
    topic: str, query: Mapping[str, Parameter], transport: Transport, *, compressed: bool = False
) -> StreamRequest:
    """The request that a query string makes.

    Args:
        topic: decoded topic name.
        query: the parameters of `PARAMETERS`.
        transport: how the client is connected.
        compressed: whether frames are compressed.

    Raises:
        StreamEndedError: 4000, with a reason that names the parameter.
    """
    if query["where"].ambiguous or query["fields"].ambiguous:
        raise StreamEndedError.of(CloseCode.INVALID_SYNTAX)
    try:
        kind = Format(_text(query, "format") or Format.VALUE)
    except ValueError:
        raise _invalid("format", "it is neither value nor record") from None
    on_gap = _text(query, "on_gap") or "close"
    if on_gap not in ("close", "continue"):
        raise _invalid("on_gap", "it is neither close nor continue")
    if on_gap == "continue" and kind is Format.VALUE and transport is Transport.WEBSOCKET:
        raise _invalid("on_gap", "continue needs format=record, which can tell of gaps")
    key = StreamKey(
        topic,
        query["where"].value or "",
        query["fields"].value or "",
        kind,
        transport,
        skips_gaps=on_gap == "continue",
        compressed=compressed,
    )
    return StreamRequest(key, _start(topic, _text(query, "from")), _stop(topic, _text(query, "until")))


def start_at(position: TokenPosition) -> filter_pb2.Start:
    """The start that goes on from a position."""
    return filter_pb2.Start(position=_position(position))


def stop_at(position: TokenPosition) -> filter_pb2.Stop:
    """The stop before a position."""
    return filter_pb2.Stop(position=_position(position))


def is_over(request: StreamRequest) -> bool:
    """Whether nothing is left between start and stop, both being positions."""
    if request.start is None or request.stop is None:
        return False
    reached = request.start.position.next_offsets
    return all(offset <= reached.get(partition, 0) for partition, offset in request.stop.position.next_offsets.items())


def _invalid(name: str, problem: str) -> StreamEndedError:
    return StreamEndedError(CloseCode.INVALID_SYNTAX, f"invalid {name}: {problem}")


def _text(query: Mapping[str, Parameter], name: str) -> str:
    parameter = query.get(name, _ABSENT)
    if parameter.ambiguous:
        raise _invalid(name, "it is given more than once")
    return parameter.value or ""


def _start(topic: str, text: str) -> filter_pb2.Start | None:
    if text in ("", "latest"):
        return None
    if text == "earliest":
        return filter_pb2.Start(earliest=filter_pb2.Start.Earliest())
    point = _point("from", topic, text)
    return filter_pb2.Start(timestamp_ms=point) if isinstance(point, int) else start_at(point)


def _stop(topic: str, text: str) -> filter_pb2.Stop | None:
    if not text:
        return None
    if text == "latest":
        return filter_pb2.Stop(latest=filter_pb2.Stop.Latest())
    if text == "earliest":
        raise _invalid("until", "nothing comes before the earliest record")
    point = _point("until", topic, text)
    if isinstance(point, int):
        return filter_pb2.Stop(timestamp_ms=point)
    return stop_at(point)


def _position(position: TokenPosition) -> filter_pb2.Position:
    return filter_pb2.Position(next_offsets=position.next_offsets, topic_id=position.topic_id)


def _point(name: str, topic: str, text: str) -> int | TokenPosition:
    """A time in ms since the epoch, or a position."""
    if _MILLISECONDS.fullmatch(text):
        return int(text)
    if _ISO_8601.match(text):
        # A `+` that was not escaped has become a space; nothing else can stand there.
        sane = re.sub(r"(T.*) (?=[0-9]{2}:?[0-9]{2}$)", r"\1+", text)
        try:
            moment = datetime.fromisoformat(sane)
        except ValueError:
            raise _invalid(name, "it looks like a time, but is none of ISO 8601") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        milliseconds = (moment - _EPOCH) // timedelta(milliseconds=1)
        if milliseconds < 0:
            raise _invalid(name, "it lies before 1970")
        return milliseconds
    try:
        return decode(topic, text)
    except PositionTokenError as error:
        raise _invalid(name, f"as a position, {error}") from None
