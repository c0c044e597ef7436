"""Everything at once: replicas come and go while slow and quick sockets read; each gets all of its records once."""

import asyncio
import json
import random

import pytest

from edge import metrics
from tests.edge.conftest import MakeSystem, System
from tests.edge.replica import Replica
from tests.stack.client import Socket

RECORDS = 8000
PARTITIONS = 3
TOPICS = ("admin.a", "admin.b")
WHERES = ("", '"even": true', '"n": 7')


class Reader:
    """A client that notes what it gets, and pauses when told."""

    def __init__(self, socket: Socket, topic: str, where: str) -> None:
        self.socket = socket
        self.topic = topic
        self.where = where
        self.received: dict[int, list[int]] = {partition: [] for partition in range(PARTITIONS)}
        self.count = 0
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while True:
            value = await self.socket.value()
            self.received[value["partition"]].append(value["n"])
            self.count += 1

    async def read_until(self, total: int) -> None:
        """Go on until `total` records have come, or none comes any more."""
        while self.count < total and not self._reading.done():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        self._reading.cancel()

    def stall(self, stalled: bool) -> None:
        """Stop, or go on, taking anything from the network."""
        transport = self.socket.connection.transport
        if stalled:
            transport.pause_reading()
        else:
            transport.resume_reading()


async def produce(system: System, dice: random.Random) -> dict[str, dict[int, list[tuple[int, bytes]]]]:
    """Numbered records, some large, in bursts."""
    written: dict[str, dict[int, list[tuple[int, bytes]]]] = {
        topic: {partition: [] for partition in range(PARTITIONS)} for topic in TOPICS
    }
    for n in range(RECORDS):
        topic, partition = dice.choice(TOPICS), dice.randrange(PARTITIONS)
        padding = "x" * dice.choice((10, 100, 3000))
        value = json.dumps({"n": n, "even": n % 2 == 0, "partition": partition, "padding": padding}).encode()
        written[topic][partition].append((n, value))
        system.logs.write(topic, value, partition)
        if n % 40 == 0:
            await asyncio.sleep(dice.random() * 0.02)
    return written


async def disturb(system: System, readers: list[Reader], dice: random.Random) -> None:
    """Faults, one after the other, until cancelled; the last replica is never taken."""
    gone: list[Replica] = []
    while True:
        await asyncio.sleep(dice.random() * 0.2)
        running = [replica for replica in system.replicas if replica not in gone]
        match dice.choice(("kill", "drain", "return", "stall", "stall", "resume", "kafka")):
            case "kill" if len(running) > 1:
                victim = dice.choice(running)
                gone.append(victim)
                await victim.kill()
            case "drain" if len(running) > 1:
                victim = dice.choice(running)
                gone.append(victim)
                victim.drain()
                await asyncio.sleep(0.1)
                await victim.kill()
            case "return" if gone:
                await gone.pop(dice.randrange(len(gone))).start()
            case "stall":
                dice.choice(readers).stall(True)
            case "resume":
                dice.choice(readers).stall(False)
            case "kafka":
                replica = dice.choice(running)
                replica.set_kafka(False)
                await asyncio.sleep(dice.random() * 0.1)
                replica.set_kafka(True)


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_lost_nothing_twice(make_system: MakeSystem, seed: int) -> None:
    """Through crashes, drains, returns, Kafka's absences and slow spells: every record once, in order per partition."""
    dice = random.Random(seed)
    system = await make_system(
        replicas=3,
        batch=20,
        server_slow_consumer_high_mark=128 * 1024,
        server_slow_consumer_low_mark=16 * 1024,
        server_write_limit=64 * 1024,
        server_backlog_limit=512 * 1024,
        server_send_buffer=16 * 1024,
    )
    readers = []
    for number in range(18):
        topic, where = TOPICS[number % 2], WHERES[number // 2 % 3]
        readers.append(Reader(await system.connect(topic, where=where), topic, where))
    detaches = metrics.DETACHES._value.get()
    # One is slow in every run, whatever the dice say.
    readers[0].stall(True)
    disturbance = asyncio.create_task(disturb(system, readers[1:], dice))
    written = await produce(system, dice)
    disturbance.cancel()
    await asyncio.gather(disturbance, return_exceptions=True)
    for replica in system.replicas:
        replica.set_kafka(True)
    for reader in readers:
        reader.stall(False)
    for reader in readers:
        expected = {
            partition: [n for n, value in records if reader.where.encode() in value]
            for partition, records in written[reader.topic].items()
        }
        await reader.read_until(sum(map(len, expected.values())))
        assert reader.received == expected, f"seed {seed}, {reader.topic} where {reader.where!r}"
    assert metrics.DETACHES._value.get() > detaches, "no socket was ever slow"
