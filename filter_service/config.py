"""Settings of the filter service (`KAFKA_WS_*`, design "Settings")."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from pydantic import Field, field_validator

from runtime.settings import ConfigurationError, ListenPort, ServiceSettings

CONSUMER_PREFIX = "KAFKA_WS_CONSUMER_"

_OWN = frozenset({"metadata.broker.list", "bootstrap.servers"})
_UNDERSCORED = frozenset({"log_level"})
"""librdkafka properties that are written with an underscore (its CONFIGURATION.md)."""
_FILE_SUFFIX = ".file"
_NAMED_FILE = frozenset(
    {
        "sasl.oauthbearer.assertion.file",
        "sasl.oauthbearer.assertion.private.key.file",
        "sasl.oauthbearer.assertion.jwt.template.file",
    }
)
"""librdkafka properties whose own name ends like that."""
_PROPERTY = re.compile(r"(?<![/\w.])[a-z]+(?:[._][a-z0-9]+)+(?![/\w])")
_SECURITY = ("sasl.", "ssl.", "security.")
_BROKER = re.compile(r"(?:\w+://)?(?:\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]+)(?::([0-9]{1,5}))?", re.ASCII)
"""As librdkafka reads one: `[protocol://]host[:port]`."""
_HIGHEST_PORT = 65_535


class FilterSettings(ServiceSettings):
    """What an operator can set. Every field is the variable `KAFKA_WS_<NAME>`."""

    filter_grpc_host: str = Field(default="127.0.0.1", description="Address the gRPC server listens on.")
    filter_grpc_port: ListenPort = Field(default=50051, description="Port of the gRPC server; 0 takes a free one.")
    consumer_metadata_broker_list: str = Field(
        default="127.0.0.1:9092",
        min_length=1,
        description="Kafka bootstrap servers, `host:port` separated by commas. Any other librdkafka property passes "
        "through as `KAFKA_WS_CONSUMER_<PROPERTY>`, dots written as underscores.",
    )
    filter_batch_records: int = Field(
        default=8000, ge=1, le=100_000, description="Most records a reader takes from librdkafka at a time."
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
    filter_max_query_total: int = Field(
        default=1024 * 1024,
        ge=1,
        description="Characters of all queries of more than 512 characters that may be open in one process; in memory "
        "each takes up to 400 bytes. Past them only shorter queries are accepted.",
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

    @field_validator("consumer_metadata_broker_list")
    @classmethod
    def _check_brokers(cls, brokers: str) -> str:
        for broker in brokers.split(","):
            match = _BROKER.fullmatch(broker.strip())
            if match is None or not 0 < int(match[1] or _HIGHEST_PORT) <= _HIGHEST_PORT:
                raise ValueError(f"{broker.strip()!r} is not host:port.")
        return brokers


def librdkafka_properties(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The librdkafka properties named in the environment.

    `KAFKA_WS_CONSUMER_SASL_USERNAME=x` becomes `sasl.username: x`; a name that ends in `_FILE` gives the path of a
    file that holds the value (for secrets).

    Args:
        environ: variables to read.

    Returns:
        Property name -> value, without the bootstrap servers (they are a setting of their own).

    Raises:
        ConfigurationError: a file that is named cannot be read, or a property is given twice.
    """
    properties: dict[str, str] = {}
    for variable, value in environ.items():
        if not variable.startswith(CONSUMER_PREFIX) or not value:
            continue
        name = _property_name(variable)
        if name.endswith(_FILE_SUFFIX) and name not in _NAMED_FILE:
            name = name.removesuffix(_FILE_SUFFIX)
            if environ.get(property_variable(name)):
                raise ConfigurationError(f"{property_variable(name)}: set either this or {variable}, not both.")
            value = _file_content(variable, value)
        if name not in _OWN:
            properties[name] = value
    return properties


def property_variable(property_name: str) -> str:
    """The environment variable that sets a librdkafka property, for error messages."""
    return CONSUMER_PREFIX + property_name.replace(".", "_").upper()


def property_error(properties: Mapping[str, object], problem: str) -> ConfigurationError:
    """What the operator is told when librdkafka refuses the properties.

    Args:
        properties: that were given by the operator.
        problem: librdkafka's own words; they name properties.
    """
    named = _PROPERTY.findall(problem)
    # A property that is missing is named too; what else looks like a name may be part of a path.
    wrong = [name for name in named if name in properties] or [name for name in named if name.startswith(_SECURITY)]
    variables = ", ".join(property_variable(name) for name in dict.fromkeys(wrong)) or f"{CONSUMER_PREFIX}*"
    return ConfigurationError(f"{variables}: {problem.strip().rstrip('.')}.")


def _property_name(variable: str) -> str:
    name = variable.removeprefix(CONSUMER_PREFIX).lower()
    return name if name in _UNDERSCORED else name.replace("_", ".")


def _file_content(variable: str, path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            content = file.read().strip()
    except OSError as error:
        raise ConfigurationError(f"{variable}: cannot read {path!r}: {error.strerror}.") from None
    except ValueError:
        raise ConfigurationError(f"{variable}: {path!r} does not hold UTF-8 text.") from None
    if not content:
        raise ConfigurationError(f"{variable}: {path!r} is empty.")
    return content
