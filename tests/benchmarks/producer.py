"""Produces the benchmarks' records, in a process of its own: `python -m tests.benchmarks.producer`.

Started by `production`, which says in JSON on standard input what to do, one object a line; the answers are JSON too.
Two ways:

* `commit`: `records` are written in one transaction. Readers of committed data (the filter service) see none of them
  until the line `commit` comes, and then all at once: the live path at full speed, with no producer beside it.
* `pace`: `records` are written at `rate` per second, up to 5,000 a second each with the time at which it is handed to
  the client library in it; rate 0: as fast as possible.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from confluent_kafka import Producer

from tests.benchmarks.record_maker import STEPS, record

_FLUSH_SEC = 120.0
_AT_ONCE = 2000
"""Records per call of `produce_batch`."""

_HIGHEST_TIMED_RATE = 5000
"""Records a second up to which each is written by itself, with the time in it; beyond, latency is not measured."""

_TICK_SEC = 0.002


def _producer(bootstrap: str, **settings: Any) -> Producer:
    own = {name.replace("_", "."): value for name, value in settings.items()}
    return Producer(
        {
            "bootstrap.servers": bootstrap,
            # What the latency goals were set with: batches are sent after 1 ms.
            "linger.ms": 1,
            "queue.buffering.max.messages": 10_000_000,
            "queue.buffering.max.kbytes": 4 * 1024 * 1024,
            "log_level": 0,
            **own,
        }
    )


def _pool() -> list[dict[str, Any]]:
    """Records to be written again and again: making each anew would cost as much as sending it."""
    return [{"value": record(number)} for number in range(max(_AT_ONCE, STEPS))]


def _write_all(producer: Producer, topic: str, count: int, partitions: int) -> None:
    pool = _pool()
    for begin in range(0, count, len(pool)):
        batch = pool if count - begin >= len(pool) else pool[: count - begin]
        producer.produce_batch(topic, batch, partition=begin // len(pool) % partitions)
        producer.poll(0)


def _write_in_ticks(producer: Producer, topic: str, count: int, rate: float, partitions: int) -> None:
    """Writes what is due, every few milliseconds: one record at a time would cost a core."""
    pool = _pool()
    began = time.monotonic()
    written = ticks = 0
    while written < count:
        time.sleep(_TICK_SEC)
        due = min(count, int((time.monotonic() - began) * rate))
        while written < due:
            begin = written % len(pool)
            batch = pool[begin : begin + due - written]
            producer.produce_batch(topic, batch, partition=ticks % partitions)
            written += len(batch)
        producer.poll(0)
        ticks += 1


def _write_one_by_one(producer: Producer, topic: str, count: int, first: int, rate: float, partitions: int) -> None:
    """Writes each record when it is due, with the time in it."""
    began = time.monotonic()
    for number in range(first, first + count):
        due = began + (number - first) / rate
        while (left := due - time.monotonic()) > 0:
            time.sleep(left)
        producer.produce(topic, record(number, time.monotonic_ns() // 1000), partition=number % partitions)
        producer.poll(0)


def _flush(producer: Producer) -> None:
    left = producer.flush(_FLUSH_SEC)
    if left:
        raise TimeoutError(f"{left} records were not written within {_FLUSH_SEC:g} s")


def _say(**answer: object) -> None:
    print(json.dumps(answer), flush=True)


def _commit(order: dict[str, Any]) -> None:
    producer = _producer(order["bootstrap"], transactional_id=order["id"], transaction_timeout_ms=600_000, linger_ms=5)
    producer.init_transactions(60)
    producer.begin_transaction()
    _write_all(producer, order["topic"], order["records"], order["partitions"])
    _flush(producer)
    _say(event="filled")
    if sys.stdin.readline().strip() != "commit":
        producer.abort_transaction()
        return
    producer.commit_transaction(60)
    _say(event="done")


def _pace(order: dict[str, Any]) -> None:
    producer = _producer(order["bootstrap"])
    topic, first, count, rate, partitions = (
        order[name] for name in ("topic", "first", "records", "rate", "partitions")
    )
    producer.list_topics(topic, timeout=30)
    _say(event="ready")
    sys.stdin.readline()
    began = time.monotonic()
    if not rate:
        _write_all(producer, topic, count, partitions)
    elif rate > _HIGHEST_TIMED_RATE:
        _write_in_ticks(producer, topic, count, rate, partitions)
    else:
        _write_one_by_one(producer, topic, count, first, rate, partitions)
    _flush(producer)
    _say(event="done", seconds=time.monotonic() - began)


def main() -> None:
    """Carries out orders until the end of standard input."""
    ways = {"commit": _commit, "pace": _pace}
    for line in iter(sys.stdin.readline, ""):
        order = json.loads(line)
        ways[order["way"]](order)


if __name__ == "__main__":
    main()
