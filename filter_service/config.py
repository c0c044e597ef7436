"""Settings of the filter service (`KAFKA_WS_*`, design "Settings")."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pydantic import Field

from runtime.settings import ServiceSettings

CONSUMER_PREFIX = "KAFKA_WS_CONSUMER_"


class FilterSettings(ServiceSettings):
    """What an operator can set. Every field is the variable `KAFKA_WS_<NAME>`."""

    filter_grpc_host: str = Field(default="127.0.0.1", description="Address the gRPC server listens on.")
    filter_grpc_port: int = Field(
        default=50051, ge=0, le=65535, description="Port of the gRPC server; 0 takes a free one."
    )
    consumer_metadata_broker_list: str = Field(
        default="127.0.0.1:9092",
        min_length=1,
        description="Kafka bootstrap servers, `host:port` separated by commas. Any other librdkafka property passes "
        "through as `KAFKA_WS_CONSUMER_<PROPERTY>`, dots written as underscores.",
    )
    filter_batch_records: int = Field(
        default=2000, ge=1, le=100_000, description="Most records a reader takes from librdkafka at a time."
    )
    filter_outbox_bytes: int = Field(
        default=32 * 1024 * 1024,
        ge=1024,
        description="Bytes that may wait for one gRPC stream; past them its subscriptions catch up from Kafka.",
    )
    filter_replay_bytes: int = Field(
        default=4 * 1024 * 1024,
        ge=0,
        description="Bytes of the newest records kept per partition, so that a subscription can join the live reader.",
    )
    filter_catch_up_readers: int = Field(
        default=2, ge=1, le=64, description="Kafka consumers that read the past for subscriptions that are behind."
    )
    filter_max_subscriptions: int = Field(
        default=100_000, ge=1, description="Subscriptions that one gRPC stream may hold."
    )
    filter_max_query_length: int = Field(
        default=65_536, ge=1, description="Most characters of one `where` or `fields`; a longer one is invalid syntax."
    )
    filter_metadata_interval_sec: float = Field(
        default=5.0, gt=0, description="Seconds between looks for new partitions of the topics in use."
    )
    filter_missing_topic_interval_sec: float = Field(
        default=0.25, gt=0, description="Seconds between looks for subscribed topics that do not exist yet."
    )
    filter_kafka_timeout_sec: float = Field(
        default=5.0, gt=0, description="Seconds a Kafka request may take before Kafka counts as away."
    )
    filter_progress_interval_sec: float = Field(
        default=1.0, gt=0, description="Seconds between the positions sent for quiet or fully filtered partitions."
    )


def librdkafka_properties(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The librdkafka properties named in the environment.

    `KAFKA_WS_CONSUMER_SASL_USERNAME=x` becomes `sasl.username: x`; a name that ends in `_FILE` gives the path of a
    file that holds the value (for secrets).

    Args:
        environ: variables to read.

    Returns:
        Property name -> value, without the bootstrap servers (they are a setting of their own).

    Raises:
        OSError: a file that is named cannot be read.
    """
    properties = {}
    for variable, value in environ.items():
        if not variable.startswith(CONSUMER_PREFIX) or not value:
            continue
        name = variable.removeprefix(CONSUMER_PREFIX).lower()
        if name.endswith("_file"):
            with open(value, encoding="utf-8") as file:
                value = file.read().strip()
            name = name.removesuffix("_file")
        properties[name.replace("_", ".")] = value
    for own in ("metadata.broker.list", "bootstrap.servers"):
        properties.pop(own, None)
    return properties


def property_variable(property_name: str) -> str:
    """The environment variable that sets a librdkafka property, for error messages."""
    return CONSUMER_PREFIX + property_name.replace(".", "_").upper()
