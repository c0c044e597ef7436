"""A Kafka broker without Java: librdkafka's mock cluster, in a process of its own.

`local_broker` describes the part for `launcher`; `main` is the process. It speaks Kafka's real protocol on the loopback
interface, creates topics (4 partitions) when they are first asked for, and keeps the newest 5 MB of each partition in
its memory, as long as it lives. It cannot be told its port: after a crash it returns at another one, and empty.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from confluent_kafka import Producer

from deploy.local.part import Layer, Part
from deploy.local.status_file import StatusFile

NAME = "kafka"
_METADATA_TIMEOUT_SEC = 10.0
_LOG_ERRORS_ONLY = 3
"""syslog's level `error`: the mock cluster tells of every connection."""


def local_broker(run_folder: Path, environment: Callable[[], Mapping[str, str]]) -> Part:
    """The broker as a part of the local run.

    Args:
        run_folder: where it leaves its address.
        environment: lets Python find this package.
    """
    status = StatusFile(run_folder / f"{NAME}.status")
    return Part(
        name=NAME,
        layer=Layer.STORES,
        command=(sys.executable, "-m", "deploy.local.local_broker", status.path),
        environment=environment,
        address=status.address,
        is_ready=status.is_ready,
        keeps_address=False,
    )


def main() -> None:
    """Runs a broker until SIGTERM."""
    arguments = argparse.ArgumentParser(description="A Kafka broker in memory (librdkafka's mock cluster).")
    arguments.add_argument("status_file", type=Path, help="file that is written when the broker can be reached")
    status = StatusFile(arguments.parse_args().status_file)

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    cluster = Producer(
        {"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": _LOG_ERRORS_ONLY},
    )
    broker = next(iter(cluster.list_topics(timeout=_METADATA_TIMEOUT_SEC).brokers.values()))
    address = f"{broker.host}:{broker.port}"
    status.write(address)
    print(f"listening at {address}", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    # Its threads have nothing to finish, and taking a cluster down politely takes them seconds.
    os._exit(0)


if __name__ == "__main__":
    main()
