"""Writes records to Kafka in tests and knows where they went. Blocking; call it from one thread at a time."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

_FLUSH_TIMEOUT_SEC = 60.0

Headers = Sequence[tuple[str, bytes | None]]


class Written(NamedTuple):
    """Where a record is."""

    partition: int
    offset: int


class RecordWriter:
    """An idempotent producer: what it returns is written, in the order given, exactly once.

    :param bootstrap: `host:port[,...]` of the brokers.
    :param settings: librdkafka settings on top, e.g. `{"compression.type": "zstd"}`.
    """

    def __init__(self, bootstrap: str, settings: dict[str, str | int | bool] | None = None) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 1,
                "message.max.bytes": 16 * 1024 * 1024,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
                **(settings or {}),
            }
        )

    def write(
        self,
        topic: str,
        value: bytes | str | None,
        *,
        partition: int | None = None,
        key: bytes | None = None,
        headers: Headers | None = None,
        timestamp_ms: int | None = None,
    ) -> Written:
        """Write one record and wait until the brokers have it.

        :param value: None writes a tombstone.
        :param partition: None: librdkafka's partitioner chooses.
        :raises KafkaException: when the brokers refuse it.
        """
        arguments: dict[str, Any] = {"partition": partition, "key": key, "timestamp": timestamp_ms}
        # The client takes no None for a partition or a timestamp.
        given = {name: argument for name, argument in arguments.items() if argument is not None}
        if headers is not None:
            given["headers"] = list(headers)
        return self._produce(topic, [(value, given)])[0]

    def write_all(self, topic: str, values: Iterable[bytes | str | None], *, partition: int = 0) -> list[Written]:
        """Write many records to one partition, wait until the brokers have all, and return where each is.

        :raises KafkaException: when the brokers refuse one.
        """
        return self._produce(topic, [(value, {"partition": partition}) for value in values])

    def _produce(self, topic: str, records: Sequence[tuple[bytes | str | None, dict[str, Any]]]) -> list[Written]:
        places: list[Written | None] = [None] * len(records)
        errors: list[KafkaError] = []

        def deliver(index: int, value: bytes | str | None, arguments: dict[str, Any]) -> None:
            def report(error: KafkaError | None, message: Message) -> None:
                if error is not None:
                    errors.append(error)
                else:
                    partition, offset = message.partition(), message.offset()
                    assert partition is not None
                    assert offset is not None
                    places[index] = Written(partition, offset)

            while True:
                try:
                    self._producer.produce(topic, value, on_delivery=report, **arguments)
                except BufferError:
                    self._producer.poll(0.05)
                else:
                    return

        for index, (value, arguments) in enumerate(records):
            deliver(index, value, arguments)
        remaining = self._producer.flush(_FLUSH_TIMEOUT_SEC)
        if errors:
            raise KafkaException(errors[0])
        if remaining:
            raise TimeoutError(f"{remaining} records for {topic} not written within {_FLUSH_TIMEOUT_SEC:g} s")
        return [place for place in places if place is not None]
