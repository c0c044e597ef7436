"""What the person who types `make run` can set, from the environment.

Read once by `launcher`. FILTERS and EDGES are the launcher's own; of the services' settings (`KAFKA_WS_*`) it reads
those that decide what it starts, sets the services' addresses and what depends on them, and passes on all others.
"""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import SettingError

REPOSITORY = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"
DEFAULT_EDGE_PORT = 8080
DEFAULT_REDIS_PORT = 6379
HIGHEST_PORT = 65535
DEFAULT_GRACE_SEC = 1.0
"""Seconds that the services may take to finish calls and to say goodbye to clients: a person waits for the prompt."""
MOST_PROCESSES_OF_A_TIER = 64
_SECRET_BYTES = 32
_ANY_ADDRESS = ("0.0.0.0", "::")
_KEY_VARIABLES = ("KAFKA_WS_TOKEN_PUBLIC_KEY", "KAFKA_WS_TOKEN_PUBLIC_KEY_FILE", "KAFKA_WS_TOKEN_JWKS_URL")
_TRUST_VARIABLE = "KAFKA_WS_TOKEN_TRUST_GATEWAY"
_NO = ("false", "0", "no", "off", "n", "f")
"""How pydantic reads a boolean; what is neither yes nor no is the ticket service's to refuse."""
_OTHER_REDIS_VARIABLES = (
    "KAFKA_WS_REDIS_USERNAME",
    "KAFKA_WS_REDIS_PASSWORD",
    "KAFKA_WS_REDIS_PASSWORD_FILE",
    "KAFKA_WS_REDIS_TLS",
    "KAFKA_WS_REDIS_TLS_CA_FILE",
)
"""How to be let into some other Redis; our own would refuse that."""


@dataclass(frozen=True)
class LocalRunSettings:
    """What to start.

    Attributes:
        filters: number of filter service processes.
        edges: number of edge processes.
        edge_host: address the edges listen on.
        edge_port: port of the first edge, the others count up; 0: any free port for each.
        metrics_port: first port of Prometheus endpoints, one per service; 0: none.
        brokers: addresses of an existing Kafka; empty: a broker of our own, with demo data.
        has_redis: use an existing Redis, by the variables that are passed on.
        token_secret: secret to sign the ready-made token with; empty: tokens come from elsewhere.
        grace_sec: seconds that the services may take to finish.
        service_environment: what the services inherit, addresses not included.
    """

    filters: int
    edges: int
    edge_host: str
    edge_port: int
    metrics_port: int
    brokers: str
    has_redis: bool
    token_secret: str
    grace_sec: float
    service_environment: Mapping[str, str]

    @property
    def url_host(self) -> str:
        """Where the edges are reached from this machine."""
        host = LOOPBACK if self.edge_host in _ANY_ADDRESS else self.edge_host
        return f"[{host}]" if ":" in host else host


def read_settings(environ: Mapping[str, str] = os.environ) -> LocalRunSettings:
    """The settings of a local run. As everywhere in the system, an empty variable counts as not set.

    Raises:
        SettingError: a variable has a value that cannot be used.
    """
    given = {name: value for name, value in environ.items() if value}
    token_secret = _token_secret(given)
    has_redis = "KAFKA_WS_REDIS_HOST" in given or "KAFKA_WS_REDIS_PORT" in given
    return LocalRunSettings(
        filters=_whole_number(given, "FILTERS", 1, 1, MOST_PROCESSES_OF_A_TIER),
        edges=_whole_number(given, "EDGES", 1, 1, MOST_PROCESSES_OF_A_TIER),
        edge_host=given.get("KAFKA_WS_SERVER_HOST", LOOPBACK),
        edge_port=_whole_number(given, "KAFKA_WS_SERVER_PORT", DEFAULT_EDGE_PORT, 0, HIGHEST_PORT),
        metrics_port=_whole_number(given, "KAFKA_WS_METRICS_PORT", 0, 0, HIGHEST_PORT),
        brokers=given.get("KAFKA_WS_CONSUMER_METADATA_BROKER_LIST", ""),
        has_redis=has_redis,
        token_secret=token_secret,
        grace_sec=_seconds(given, "KAFKA_WS_SHUTDOWN_GRACE_SEC", DEFAULT_GRACE_SEC),
        service_environment=_service_environment(given, token_secret, has_redis),
    )


def python_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """An environment in which Python finds the sources and their generated parts, installed or not."""
    sources = [str(REPOSITORY), str(REPOSITORY / "proto" / "generated")]
    path = os.pathsep.join([*sources, *filter(None, [environ.get("PYTHONPATH")])])
    return {**environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def _service_environment(given: Mapping[str, str], token_secret: str, has_redis: bool) -> dict[str, str]:
    inherited = {
        name: value
        for name, value in python_environment(given).items()
        if has_redis or name not in _OTHER_REDIS_VARIABLES
    }
    # Ours; each service is given its own.
    inherited.pop("KAFKA_WS_METRICS_PORT", None)
    inherited.setdefault("KAFKA_WS_SHUTDOWN_GRACE_SEC", f"{DEFAULT_GRACE_SEC:g}")
    if any(name in given for name in ("KAFKA_WS_TOKEN_HS256_SECRET", "KAFKA_WS_TOKEN_HS256_SECRET_FILE")):
        pass  # the ticket service reads it itself
    elif token_secret and not _trusts_gateway(given):
        inherited["KAFKA_WS_TOKEN_HS256_SECRET"] = token_secret
    elif "KAFKA_WS_TICKET_GRANT_SECRET_FILE" not in given:
        inherited.setdefault("KAFKA_WS_TICKET_GRANT_SECRET", secrets.token_hex(_SECRET_BYTES))
    return inherited


def _token_secret(given: Mapping[str, str]) -> str:
    if secret := given.get("KAFKA_WS_TOKEN_HS256_SECRET"):
        return secret
    if path := given.get("KAFKA_WS_TOKEN_HS256_SECRET_FILE"):
        try:
            return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            raise SettingError("KAFKA_WS_TOKEN_HS256_SECRET_FILE", f"cannot read {path!r} ({error.strerror})") from None
        except ValueError:
            raise SettingError("KAFKA_WS_TOKEN_HS256_SECRET_FILE", f"{path!r} does not hold UTF-8 text") from None
    if any(variable in given for variable in _KEY_VARIABLES):
        return ""
    # When a gateway is trusted, the signature may be anybody's.
    return secrets.token_hex(_SECRET_BYTES)


def _trusts_gateway(given: Mapping[str, str]) -> bool:
    return given.get(_TRUST_VARIABLE, "false").lower() not in _NO


def _whole_number(given: Mapping[str, str], variable: str, default: int, least: int, most: int) -> int:
    text = given.get(variable, str(default)).strip()
    if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
        raise SettingError(variable, f"{text!r} is not a whole number between {least} and {most}")
    return int(text)


def _seconds(given: Mapping[str, str], variable: str, default: float) -> float:
    text = given.get(variable, str(default))
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise SettingError(variable, f"{text!r} is not a number between 0 and 3600")
    return seconds
