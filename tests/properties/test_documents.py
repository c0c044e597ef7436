"""Reading some members of records against parsing the whole of each."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from filter_service.documents import read_members
from filter_service.record import LARGEST_INTEGER, SMALLEST_INTEGER, parse
from tests.properties import strategies

objects = st.dictionaries(strategies.names, strategies.values, min_size=1, max_size=5)
payloads = st.builds(
    lambda document, compact, ascii_only: json.dumps(
        document, ensure_ascii=ascii_only, separators=(",", ":") if compact else None
    ).encode(),
    objects,
    st.booleans(),
    st.booleans(),
)
BYTES = b'{}[],:"\\/.0123456789eE+- \ntrufalsn\x00\x1f\x7f\x80\xc3\xe2\xff'


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A payload of which a byte or two were put in, left out or changed: mostly no JSON any more."""
    payload = bytearray(draw(payloads))
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(payload)))
        put = draw(st.sampled_from((0, 1)))
        payload[at : at + draw(st.sampled_from((0, 1)))] = bytes(draw(st.sampled_from(BYTES)) for _ in range(put))
    return bytes(payload)


def _as_parsed(value: Any) -> Any:
    """A value with floats where `parse` has them."""
    if isinstance(value, dict):
        return {name: _as_parsed(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_as_parsed(element) for element in value]
    if type(value) is int and not SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
        return float(value)
    return value


@given(texts=st.lists(payloads, min_size=1, max_size=4), names=st.lists(strategies.names, unique=True))
def test_members_are_those_of_the_whole(texts: list[bytes], names: list[str]) -> None:
    """Each name's column holds what each record has there; a record is parsed as a whole when asked for."""
    documents = read_members(texts, tuple(names))
    assert documents is not None
    parsed = [record.document for record in map(parse, texts) if record is not None]
    assert len(documents) == len(parsed) == len(texts)
    for name in names:
        column = [document.get(name) for document in parsed if isinstance(document, dict)]
        assert repr(_as_parsed(documents.column(name))) == repr(column)
    assert documents.whole == 0
    assert repr(documents[-1]) == repr(parsed[-1])
    assert documents.whole == 1
    assert repr(list(documents)) == repr(parsed)


@given(texts=st.lists(spoilt(), min_size=1, max_size=3), names=st.lists(strategies.names, unique=True))
@example([b'{"a":"\xc3"}', b'{"a":"\xa9"}'], ["b"])
@example([b'{"b":1e999}'], ["a"])
@example([b'{"b":"\\ud800"}'], ["a"])
@example([b'{"\xff":1}'], ["a"])
def test_what_is_read_is_sound(texts: list[bytes], names: list[str]) -> None:
    """Members are read of nothing that would not be sent as it is."""
    if read_members(texts, tuple(names)) is not None:
        for text in texts:
            record = parse(text)
            assert record is not None
            assert record.text == text
