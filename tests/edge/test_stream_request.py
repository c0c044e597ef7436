"""What clients may ask for in a query string: every parameter, what is ambiguous, and all ways to write a time."""

from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka_ws.filter.v1 import filter_pb2

from edge.errors import StreamEndedError
from edge.position_token import TokenPosition, encode
from edge.query import select
from edge.stream_request import (
    PARAMETERS,
    Format,
    StreamKey,
    StreamRequest,
    Transport,
    is_over,
    parse,
    start_at,
    stop_at,
)

TOPIC = "admin.t"
POSITION = TokenPosition({0: 5, 3: 7}, b"i" * 16)
TOKEN = encode(TOPIC, POSITION)

LATEST_STOP = filter_pb2.Stop(latest=filter_pb2.Stop.Latest())
EARLIEST = filter_pb2.Start(earliest=filter_pb2.Start.Earliest())


def request(query: str, transport: Transport = Transport.WEBSOCKET) -> StreamRequest:
    """What a raw query string asks for."""
    return parse(TOPIC, select(query, "ticket", *PARAMETERS), transport)


def problem(query: str, transport: Transport = Transport.WEBSOCKET) -> str:
    """The reason that a raw query string is refused with."""
    with pytest.raises(StreamEndedError) as refused:
        request(query, transport)
    assert refused.value.code == 4000
    return refused.value.reason


@pytest.mark.parametrize("query", ["", "ticket=x", "format=&from=&until=&on_gap=&where=&fields=", "from=latest", "x=y"])
@pytest.mark.parametrize("transport", Transport)
def test_nothing_asked_for_is_the_live_stream_of_values(query: str, transport: Transport) -> None:
    """Absent and empty parameters mean: every record, whole, from now on, for ever, ending at gaps."""
    key = StreamKey(TOPIC, "", "", Format.VALUE, transport, skips_gaps=False)
    assert request(query, transport) == StreamRequest(key, None, None)


def test_where_and_fields_are_passed_on_as_written() -> None:
    """They are decoded once and neither trimmed nor judged here."""
    key = request("where=%20a%3D1;+b=%252;&fields=a(b,%20c)").key
    assert (key.where, key.fields) == (" a=1; b=%2;", "a(b, c)")


@pytest.mark.parametrize("name", ["where", "fields"])
@pytest.mark.parametrize("query", ["{}=a&{}=a", "{}[]=a", "{}[x]=a", "{}=&{}="])
def test_ambiguous_filters_are_invalid_syntax(name: str, query: str) -> None:
    """In the words that the original's contract has for it."""
    assert problem(query.replace("{}", name)) == "invalid syntax"


@pytest.mark.parametrize("name", ["format", "from", "until", "on_gap"])
@pytest.mark.parametrize("query", ["{}=latest&{}=latest", "{}[]=value", "{}=&{}="])
def test_other_ambiguous_parameters_are_named(name: str, query: str) -> None:
    """Which of two values was meant is never guessed."""
    assert problem(query.replace("{}", name)) == f"invalid {name}: it is given more than once"


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize("kind", Format)
def test_formats(kind: Format, transport: Transport) -> None:
    """Both formats, for both transports."""
    assert request(f"format={kind}", transport).key.format is kind


@pytest.mark.parametrize("text", ["Record", "json", "value,record", "%00"])
def test_other_formats_are_refused(text: str) -> None:
    """Names are exact."""
    assert problem(f"format={text}") == "invalid format: it is neither value nor record"


@pytest.mark.parametrize(
    ("query", "transport", "skips"),
    [
        ("on_gap=close", Transport.WEBSOCKET, False),
        ("on_gap=close&format=record", Transport.WEBSOCKET, False),
        ("on_gap=continue&format=record", Transport.WEBSOCKET, True),
        ("on_gap=continue&format=record", Transport.EVENTS, True),
        ("on_gap=continue", Transport.EVENTS, True),
    ],
)
def test_gap_policies(query: str, transport: Transport, skips: bool) -> None:
    """Going on behind a gap is possible wherever it can be told."""
    assert request(query, transport).key.skips_gaps is skips


def test_gap_policies_that_are_refused() -> None:
    """A name that is none, and going on silently."""
    assert problem("on_gap=ignore") == "invalid on_gap: it is neither close nor continue"
    assert problem("on_gap=continue") == "invalid on_gap: continue needs format=record, which can tell of gaps"
    assert problem("on_gap=continue&format=value").startswith("invalid on_gap: continue needs format=record")


def test_names_of_starts_and_stops() -> None:
    """`earliest` begins at the beginning, `until=latest` ends where the topic ends now."""
    assert request("from=earliest") == StreamRequest(StreamKey(TOPIC, "", ""), EARLIEST, None)
    assert request("until=latest").stop == LATEST_STOP
    assert request("from=earliest&until=latest").start == EARLIEST


@pytest.mark.parametrize("text", ["Latest", "EARLIEST", "now", "oldest", "-1", "1.5", "5 ", "%2B5", "0x10", "٣"])
@pytest.mark.parametrize("name", ["from", "until"])
def test_what_is_neither_name_time_nor_position(name: str, text: str) -> None:
    """It is refused by name, and nothing is guessed."""
    assert problem(f"{name}={quote(text, safe='%')}").startswith(f"invalid {name}: as a position, ")


def test_until_earliest_is_refused() -> None:
    """It could only mean nothing at all."""
    assert problem("until=earliest") == "invalid until: nothing comes before the earliest record"


def test_positions() -> None:
    """A token of the topic is a start or a stop with all that it says."""
    told = filter_pb2.Position(next_offsets={0: 5, 3: 7}, topic_id=b"i" * 16)
    assert request(f"from={TOKEN}").start == filter_pb2.Start(position=told) == start_at(POSITION)
    assert request(f"until={TOKEN}").stop == filter_pb2.Stop(position=told) == stop_at(POSITION)
    assert request(f"from={encode(TOPIC, TokenPosition({}))}").start == filter_pb2.Start(position=filter_pb2.Position())


@pytest.mark.parametrize("name", ["from", "until"])
def test_positions_of_elsewhere(name: str) -> None:
    """What is wrong with a token is told with the parameter's name."""
    assert problem(f"{name}={encode('admin.u', POSITION)}") == (
        f"invalid {name}: as a position, it belongs to another topic"
    )
    assert problem(f"{name}={TOKEN[:-1]}") == f"invalid {name}: as a position, it is damaged"


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("0", 0),
        ("1750000000123", 1_750_000_000_123),
        ("999999999999999", 999_999_999_999_999),
        ("2026-11-24", 1_795_478_400_000),
        ("20261124", 20_261_124),  # digits are milliseconds, always
        ("2026-11-24T10:11:12", 1_795_515_072_000),
        ("2026-11-24 10:11:12", 1_795_515_072_000),
        ("2026-11-24T10:11:12Z", 1_795_515_072_000),
        ("2026-11-24T10:11:12.345Z", 1_795_515_072_345),
        ("2026-11-24T10:11:12.3456789Z", 1_795_515_072_345),
        ("2026-11-24T12:11:12+02:00", 1_795_515_072_000),
        ("2026-11-24T12:11:12+0200", 1_795_515_072_000),
        ("2026-11-24T08:11:12-02:00", 1_795_515_072_000),
        ("1970-01-01T00:00:00.001Z", 1),
        ("1970-01-01T02:00+02:00", 0),
    ],
)
def test_times(text: str, milliseconds: int) -> None:
    """Milliseconds, or ISO 8601: without an offset UTC, without a clock midnight."""
    for escaped in (quote(text), quote_plus(text)):
        assert request(f"from={escaped}").start == filter_pb2.Start(timestamp_ms=milliseconds)
        assert request(f"until={escaped}").stop == filter_pb2.Stop(timestamp_ms=milliseconds)


@pytest.mark.parametrize("offset", ["+02:00", "+0200"])
def test_a_plus_that_was_not_escaped(offset: str) -> None:
    """In a query a `+` is a blank; before an offset it can only have been a plus."""
    assert request(f"from=2026-11-24T12:11:12{offset}").start == filter_pb2.Start(timestamp_ms=1_795_515_072_000)


@pytest.mark.parametrize(
    "text", ["2026-13-01", "2026-02-30", "2026-11", "2026-11-24T25:00", "2026-11-24T10:11:12X", "2026-11-24T10:11 2:00"]
)
@pytest.mark.parametrize("name", ["from", "until"])
def test_times_that_do_not_exist(name: str, text: str) -> None:
    """What looks like a time is judged as one."""
    assert problem(f"{name}={text}") == f"invalid {name}: it looks like a time, but is none of ISO 8601"


@pytest.mark.parametrize("text", ["1969-12-31", "1970-01-01T00:00%2B00:01", "0001-01-01T00:00%2B14:00"])
def test_times_before_kafkas(text: str) -> None:
    """Kafka's timestamps begin with 1970."""
    assert problem(f"from={text}") == "invalid from: it lies before 1970"


_OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(1970, 1, 3), datetime(9999, 12, 30), timezones=_OFFSETS | st.just(UTC)))
def test_every_time_is_exact(moment: datetime) -> None:
    """To the millisecond, rounded down, whatever its offset."""
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert request(f"from={quote(moment.isoformat())}").start == filter_pb2.Start(timestamp_ms=expected)


@given(st.text(), st.sampled_from(PARAMETERS), st.sampled_from(Transport))
def test_any_text_is_taken_or_refused_with_its_name(text: str, name: str, transport: Transport) -> None:
    """No value of any parameter fails in another way."""
    try:
        request(f"{name}={quote(text, errors='replace')}", transport)
    except StreamEndedError as refused:
        told = str(refused)
    else:
        return
    assert told.startswith(f"4000 invalid {name}: ")


@pytest.mark.parametrize(
    ("start", "stop", "over"),
    [
        ({0: 5, 1: 7}, {0: 5, 1: 7}, True),
        ({0: 6, 1: 7}, {0: 5, 1: 7}, True),
        ({0: 5, 1: 7, 2: 1}, {0: 5}, True),
        ({}, {}, True),
        ({}, {0: 0}, True),
        ({0: 4, 1: 7}, {0: 5, 1: 7}, False),
        ({1: 7}, {0: 5, 1: 7}, False),
    ],
)
def test_what_is_left_between_two_positions(start: dict[int, int], stop: dict[int, int], over: bool) -> None:
    """Nothing, once every partition that is to be read has got to its stop."""
    key = StreamKey(TOPIC, "", "")
    assert is_over(StreamRequest(key, start_at(TokenPosition(start)), stop_at(TokenPosition(stop)))) is over


def test_a_stream_without_both_positions_is_not_over() -> None:
    """Nobody knows yet where it begins or ends."""
    key = StreamKey(TOPIC, "", "")
    assert not is_over(StreamRequest(key, None, stop_at(TokenPosition({}))))
    assert not is_over(StreamRequest(key, start_at(TokenPosition({})), None))
