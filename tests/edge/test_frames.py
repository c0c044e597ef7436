"""Frames against RFC 6455, read by a parser that is not ours."""

from collections.abc import Generator
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from edge.frames import FramedBatch, text_header

T = TypeVar("T")


def parse(data: bytes) -> list[bytes]:
    """The payloads of unmasked text frames."""
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    payloads = []
    while not run(reader.at_eof()):
        frame = run(Frame.parse(reader.read_exact, mask=False))
        assert frame.opcode is Opcode.TEXT
        assert frame.fin
        payloads.append(bytes(frame.data))
    return payloads


def run(generator: Generator[None, None, T]) -> T:
    """The result of a parser that has all its data."""
    try:
        while True:
            next(generator)
    except StopIteration as stop:
        result: T = stop.value
        return result


@pytest.mark.parametrize(
    ("length", "header"),
    [
        (0, "8100"),
        (1, "8101"),
        (125, "817d"),
        (126, "817e007e"),
        (4095, "817e0fff"),
        (4096, "817e1000"),
        (65535, "817effff"),
        (65536, "817f0000000000010000"),
        (5_000_000, "817f00000000004c4b40"),
    ],
)
def test_headers(length: int, header: str) -> None:
    """Lengths take 7, 16 or 64 bits, at the RFC's limits."""
    assert text_header(length).hex() == header


@given(st.lists(st.one_of(st.binary(max_size=300), st.sampled_from([b"x" * 65535, b"y" * 65536])), max_size=20))
def test_batch_is_its_values(values: list[bytes]) -> None:
    """A batch of frames holds each value as one whole text frame, in order."""
    assert parse(FramedBatch(values).whole()) == values


@given(st.lists(st.binary(max_size=300), min_size=1), st.data())
def test_selection(values: list[bytes], data: st.DataObject) -> None:
    """A selection of a batch holds the selected values and no others, however often it is asked."""
    batch = FramedBatch(values)
    for _ in range(2):
        indexes = sorted(data.draw(st.sets(st.integers(0, len(values) - 1))))
        assert parse(batch.select(indexes)) == [values[index] for index in indexes]
        assert parse(batch.select(range(len(values)))) == values
