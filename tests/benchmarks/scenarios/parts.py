"""Each part of the path alone, in this process: shows where a change of the whole comes from.

One figure per part, in µs per record unless it says otherwise, on one core and without a network (but for `write`).
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kafka_ws.filter.v1 import filter_pb2 as pb
from tornado.iostream import IOStream

from edge.batch import ReceivedBatch
from edge.fan_out import FanOut, Writer
from edge.frames import FramedBatch
from edge.socket_writer import SocketWriter
from filter_service import messages
from filter_service.language import compile_fields, compile_where
from filter_service.outbox import Batch, Outbox
from filter_service.projection import Projection
from filter_service.record import parse
from filter_service.subscription import Subscription
from filter_service.topic_reader import TopicReader
from runtime import memory
from tests.benchmarks.measurement import Better, Measurement
from tests.benchmarks.record_maker import TENTH, record
from tests.benchmarks.scenario import Effort, Scenario
from tests.benchmarks.system import System

_BATCH = 1000
_MEMBERS = 1000
_FEW = 10
"""Records in a write to a socket when load is low."""


class _Message:
    """What a Kafka message answers; made once, read again and again."""

    def __init__(self, offset: int, value: bytes) -> None:
        self._offset = offset
        self._value = value

    def __len__(self) -> int:
        return len(self._value)

    def offset(self) -> int:
        return self._offset

    def value(self) -> bytes:
        return self._value

    def key(self) -> None:
        return None

    def headers(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_700_000_000_000


def _time_us(work: Callable[[], object], units: int, effort: Effort) -> list[float]:
    """Time of one unit, for each run; `work` does `units` of them. Repeated for a quarter of a second a run."""
    run_sec = 0.05 if effort.is_quick else 0.25
    values = []
    for _ in range(max(effort.runs, 3)):
        rounds = 0
        began = now = time.perf_counter()
        while now - began < run_sec:
            work()
            rounds += 1
            now = time.perf_counter()
        values.append(1e6 * (now - began) / (rounds * units))
    return values


def _topic_reader(where: str, count: int) -> Callable[[], object]:
    """Reading a batch with `count` subscriptions on it, from Kafka's messages to the outbox."""
    outbox = Outbox(1 << 40, lambda: None)
    messages = [_Message(offset, record(offset)) for offset in range(_BATCH)]
    rule = compile_where(where)

    def read() -> None:
        reader = TopicReader("admin.any")
        reader.open_partition(0, 0)
        for number in range(1, count + 1):
            reader.attach(Subscription(number, "admin.any", rule, None, False, outbox), 0, 0)
        reader.read(0, messages)
        for item in outbox.take():
            outbox.sent(item)

    return read


def _sample_batch() -> Batch:
    values = [record(number) for number in range(_BATCH)]
    outbox = Outbox(1 << 40, lambda: None)
    taker = Subscription(1, "admin.any", compile_where(""), None, False, outbox)
    return Batch(
        0,
        list(range(_BATCH)),
        [1_700_000_000_000] * _BATCH,
        values,
        None,
        [(taker, None)],
        _BATCH,
        sum(map(len, values)),
    )


def _encoded(batch: Batch) -> bytes:
    response = messages.for_session(batch)
    assert response is not None
    serialised: bytes = response.SerializeToString()
    return serialised


def _filter_parts() -> Iterator[tuple[str, str, Callable[[], object], int]]:
    payloads = [record(number) for number in range(_BATCH)]
    parsed = [one for payload in payloads if (one := parse(payload)) is not None]
    selection = compile_fields("temperature,site/hall")
    assert selection is not None
    projection = Projection(selection)
    outbox = Outbox(1 << 40, lambda: None)
    batch = _sample_batch()

    def offer_and_take() -> None:
        outbox.offer(batch)
        for item in outbox.take():
            outbox.sent(item)

    yield "parse", "parse a record", lambda: [parse(payload) for payload in payloads], _BATCH
    yield "project", "cut two members out of a record", lambda: [projection.apply(one) for one in parsed], _BATCH
    yield "read", "filter's reader, a record, no filter", _topic_reader("", 1), _BATCH
    yield "read_tenth", "filter's reader, a record, one condition", _topic_reader(TENTH, 1), _BATCH
    yield "outbox", f"outbox, a batch of {_BATCH:,} records", offer_and_take, 1
    yield "encode", "gRPC message, a record", lambda: _encoded(batch), _BATCH


def _edge_parts() -> Iterator[tuple[str, str, Callable[[], object], int]]:
    batch = _sample_batch()
    encoded = _encoded(batch)
    tenth = range(0, _BATCH, 10)
    yield (
        "decode",
        "edge's batch of a gRPC message, a record",
        lambda: ReceivedBatch(pb.SessionResponse.FromString(encoded).records.batch),
        _BATCH,
    )
    yield "frame", "frames for all, a record", lambda: FramedBatch(batch.values).whole(), _BATCH
    yield "frame_tenth", "frames for a tenth, a record", lambda: FramedBatch(batch.values).select(tenth), _BATCH // 10


class _Taker:
    """A member of a fan-out that only counts."""

    def __init__(self) -> None:
        self.taken = 0

    def give(self, data: bytes) -> None:
        self.taken += len(data)

    def fail(self) -> None:
        raise AssertionError("giving to this member cannot fail")


def _fan_out_part() -> tuple[str, str, Callable[[], object], int]:
    fan_out = FanOut(Writer(1 << 20, 1 << 24))
    for _ in range(_MEMBERS):
        fan_out.attach(_Taker())
    data = FramedBatch([record(number) for number in range(_FEW)]).whole()
    offset = 0

    def turn() -> None:
        nonlocal offset
        offset += _FEW
        fan_out.append(data, _FEW, 0, offset)
        for row in fan_out.turns(1 << 20):
            for member, frames in row:
                if fan_out.has(member):
                    member.give(frames)

    return "fan_out", f"fan-out, a turn with {_MEMBERS:,} sockets, a socket", turn, _MEMBERS


@contextmanager
def _drained_pair() -> Iterator[socket.socket]:
    """A TCP socket whose other end is read by a thread as fast as it can."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()

    def drain() -> None:
        buffer = bytearray(1 << 20)
        while far.recv_into(buffer):
            pass

    reader = threading.Thread(target=drain)
    reader.start()
    near.setblocking(False)
    try:
        yield near
    finally:
        near.close()
        reader.join()
        far.close()


async def _write_part(effort: Effort) -> list[float]:
    data = FramedBatch([record(number) for number in range(_FEW)]).whole()
    with _drained_pair() as near:
        stream = IOStream(near)
        writer = SocketWriter(stream)

        def write() -> None:
            # A full kernel buffer would measure something else: the stream's queue.
            if writer.write(data):
                raise AssertionError("the reading thread does not keep up")
            while writer.in_kernel > 1 << 17:
                time.sleep(0.0001)

        values = _time_us(write, 1, effort)
        stream.close()
    return values


def _parts(_: System, effort: Effort) -> list[Measurement]:
    # As in the services: with Python's and the C library's defaults some parts take three times as long.
    memory.tune()

    async def all_parts() -> list[Measurement]:
        # The edge's parts expect an event loop around them.
        timed = [
            (name, title, _time_us(work, units, effort))
            for name, title, work, units in (*_filter_parts(), *_edge_parts(), _fan_out_part())
        ]
        timed.append(("write", f"write {_FEW} frames to a socket", await _write_part(effort)))
        return [Measurement(f"parts.{name}", title, "µs", values, Better.LOWER) for name, title, values in timed]

    return asyncio.run(all_parts())


SCENARIOS = (Scenario("parts", "each part alone", _parts, needs_system=False),)
