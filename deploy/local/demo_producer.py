"""Sensor records to look at: a process that writes what a small plant's sensors would report.

`demo_producer` describes the part for `launcher`; `main` is the process; `Plant` makes the records up.
"""

import argparse
import json
import math
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from confluent_kafka import KafkaError, Message, Producer

from deploy.local.part import Layer, Part
from deploy.local.status_file import NO_ADDRESS, StatusFile

NAME = "demo-producer"
TENANT = "admin"
TOPIC = f"{TENANT}.sensors"
RECORDS_PER_SEC = 15.0
BROKER_VARIABLE = "KAFKA_WS_CONSUMER_METADATA_BROKER_LIST"
"""Where the process is told the broker's address, the same way as the filter service."""
_LOG_ERRORS_ONLY = 3
"""syslog's level `error`."""


def demo_producer(run_folder: Path, environment: Callable[[], Mapping[str, str]], broker: Part) -> Part:
    """The producer as a part of the local run.

    Args:
        run_folder: where it notes that the first record has been taken by the broker.
        environment: lets Python find this package.
        broker: the Kafka broker to write to.
    """
    status = StatusFile(run_folder / f"{NAME}.status")
    return Part(
        name=NAME,
        layer=Layer.DEMO,
        command=(sys.executable, "-m", "deploy.local.demo_producer", status.path),
        environment=lambda: {**environment(), BROKER_VARIABLE: broker.address()},
        address=status.address,
        is_ready=status.is_ready,
        follows=(broker.name,),
    )


class Sensor:
    """One temperature sensor: drifts with the time of day, and now and then fails or is stopped.

    Args:
        number: which one; sensors differ in place, so in mean temperature.
        chance: source of randomness.
    """

    def __init__(self, number: int, chance: random.Random) -> None:
        """Makes a sensor in good order."""
        self.name = f"sensor-{number:02}"
        self._chance = chance
        self._mean = 22.0 + number % 5 * 3.0
        self._noise = 0.0
        self._humidity = 45.0 + number % 4 * 5.0
        self._status = "ok"

    def report(self, now: float) -> dict[str, object]:
        """What the sensor reports at `now` (seconds since the epoch)."""
        self._status = self._next_status()
        self._noise = 0.9 * self._noise + self._chance.gauss(0.0, 0.8)
        self._humidity = min(95.0, max(15.0, self._humidity + self._chance.gauss(0.0, 0.5)))
        swing = 4.0 * math.sin(now / 30.0 + self._mean)  # a "day" of about three minutes, so that one sees it change
        return {
            "sensor": {"id": self.name, "status": self._status},
            "temperature": round(self._mean + swing + self._noise, 1),
            "humidity": round(self._humidity, 1),
            "ts": round(now * 1000),
        }

    def _next_status(self) -> str:
        # Troubles are rare, but last for some reports.
        if self._status != "ok":
            return "ok" if self._chance.random() < 0.2 else self._status
        draw = self._chance.random()
        return "failed" if draw < 0.03 else "stopped" if draw < 0.05 else "ok"


class Plant:
    """A dozen sensors that report in turn.

    Args:
        seed: equal seeds give equal records; None: always others.
        sensors: their number.
    """

    def __init__(self, seed: int | None = None, sensors: int = 12) -> None:
        """Builds the plant."""
        chance = random.Random(seed)  # noqa: S311 - sensor values, no secret
        self._sensors = [Sensor(number, chance) for number in range(1, sensors + 1)]
        self._turn = 0

    def next_record(self, now: float) -> tuple[bytes, bytes]:
        """Key (the sensor's name) and value (JSON) of the record at `now` (seconds since the epoch)."""
        sensor = self._sensors[self._turn % len(self._sensors)]
        self._turn += 1
        return sensor.name.encode(), json.dumps(sensor.report(now), separators=(",", ":")).encode()


def main() -> None:
    """Writes records until SIGTERM."""
    arguments = argparse.ArgumentParser(description="Writes made-up sensor records to Kafka.")
    arguments.add_argument("status_file", type=Path, help="file that is written when the first record has arrived")
    options = arguments.parse_args()
    status = StatusFile(options.status_file)
    first = True

    def on_delivery(error: KafkaError | None, _message: Message) -> None:
        nonlocal first
        if error is not None:
            print(f"not delivered: {error}", flush=True)
        elif first:
            first = False
            status.write(NO_ADDRESS)

    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    producer, plant = (
        Producer({"bootstrap.servers": os.environ[BROKER_VARIABLE], "log_level": _LOG_ERRORS_ONLY}),
        Plant(),
    )
    while not stopped:
        key, value = plant.next_record(time.time())
        producer.produce(TOPIC, value, key, on_delivery=on_delivery)
        producer.poll(0)
        time.sleep(1.0 / RECORDS_PER_SEC)


if __name__ == "__main__":
    main()
