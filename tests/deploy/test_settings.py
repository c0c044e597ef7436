"""What `make run` makes of its variables, without starting anything."""

import errno
import os
from collections.abc import Mapping
from pathlib import Path

import jwt
import pytest

from deploy.local.access_token import issue_token
from deploy.local.errors import LocalRunError
from deploy.local.local_system import LocalSystem
from deploy.local.settings import read_settings
from edge.config import EdgeSettings
from filter_service.config import FilterSettings
from runtime.settings import ServiceSettings, is_secret, variable_name
from tests.processes import free_port
from ticket_service.config import TicketServiceSettings

SECRET = "a secret of these tests, which is long enough"
SECRET_VARIABLE = "KAFKA_WS_TOKEN_HS256_SECRET"
GRANT_VARIABLE = "KAFKA_WS_TICKET_GRANT_SECRET"

OF_THE_LAUNCHER = {
    # No port is fixed but the edges', so it says where each tier listens, and tells the others.
    *("KAFKA_WS_TICKET_GRPC_HOST", "KAFKA_WS_TICKET_GRPC_PORT", "KAFKA_WS_TICKET_ADDRESS"),
    *("KAFKA_WS_FILTER_GRPC_HOST", "KAFKA_WS_FILTER_GRPC_PORT", "KAFKA_WS_FILTER_ADDRESS"),
    # Counted up from process to process.
    "KAFKA_WS_METRICS_PORT",
}


def variables_of(settings: type[ServiceSettings]) -> set[str]:
    """Every environment variable that a service reads, but for those that only the launcher can give."""
    fields = settings.model_fields.items()
    names = {variable_name(name) for name, _ in fields}
    files = {f"{variable_name(name)}_FILE" for name, field in fields if is_secret(field)}
    return (names | files) - OF_THE_LAUNCHER


def system_of(variables: Mapping[str, str]) -> LocalSystem:
    """What these variables would start."""
    return LocalSystem(read_settings({"KAFKA_WS_SERVER_PORT": "0", **variables}), Path("unused"), None)


def environments(system: LocalSystem) -> dict[str, Mapping[str, str]]:
    """Name of each part -> the environment it would be started with."""
    return {part.name: part.environment() for parts in system.in_order() for part in parts}


def test_every_setting_of_the_services_reaches_them() -> None:
    """Whatever a service can be told arrives as it was given, and librdkafka's properties too."""
    tiers: dict[str, type[ServiceSettings]] = {
        "ticket-service": TicketServiceSettings,
        "filter-1": FilterSettings,
        "edge-1": EdgeSettings,
    }
    values = {variable: "1" for settings in tiers.values() for variable in variables_of(settings)}
    values |= {"KAFKA_WS_SERVER_PORT": str(free_port()), "KAFKA_WS_SERVER_HOST": "127.0.0.1"}
    values |= {"KAFKA_WS_CONSUMER_SASL_USERNAME": "x"}
    got = environments(system_of(values))
    for name, settings in tiers.items():
        wanted = variables_of(settings) | {"KAFKA_WS_CONSUMER_SASL_USERNAME"}
        assert {variable: got[name].get(variable) for variable in wanted} == {
            variable: values[variable] for variable in wanted
        }


def test_settings_of_redis_reach_the_own_one_but_for_those_that_let_into_another() -> None:
    """Key prefix, database and timeout hold for the local Valkey; it knows no user, password or TLS."""
    names = [name for name in variables_of(TicketServiceSettings) if name.startswith("KAFKA_WS_REDIS_")]
    given = {name: "1" for name in names if name not in ("KAFKA_WS_REDIS_HOST", "KAFKA_WS_REDIS_PORT")}
    got = environments(system_of(given))["ticket-service"]
    assert {name for name in given if name in got} == {
        "KAFKA_WS_REDIS_DATABASE",
        "KAFKA_WS_REDIS_KEY_PREFIX",
        "KAFKA_WS_REDIS_TIMEOUT_SEC",
    }


def test_tiers_find_each_other_at_ports_that_nobody_fixed() -> None:
    """Each edge is told the addresses of the ticket service and of all filters, which listen there."""
    got = environments(system_of({"FILTERS": "2", "EDGES": "2"}))
    filters = [got[f"filter-{n}"]["KAFKA_WS_FILTER_GRPC_PORT"] for n in (1, 2)]
    ticket = got["ticket-service"]["KAFKA_WS_TICKET_GRPC_PORT"]
    for edge in ("edge-1", "edge-2"):
        assert got[edge]["KAFKA_WS_FILTER_ADDRESS"] == ",".join(f"127.0.0.1:{port}" for port in filters)
        assert got[edge]["KAFKA_WS_TICKET_ADDRESS"] == f"127.0.0.1:{ticket}"
    assert len({*filters, ticket, *(got[edge]["KAFKA_WS_SERVER_PORT"] for edge in ("edge-1", "edge-2"))}) == 5


@pytest.mark.parametrize(
    ("variables", "own"),
    [
        ({}, {"kafka", "valkey", "demo-producer"}),
        ({"KAFKA_WS_CONSUMER_METADATA_BROKER_LIST": "kafka:9092"}, {"valkey"}),
        ({"KAFKA_WS_REDIS_HOST": "redis"}, {"kafka", "demo-producer"}),
        ({"KAFKA_WS_REDIS_PORT": "6380"}, {"kafka", "demo-producer"}),
        (
            {"KAFKA_WS_REDIS_HOST": "", "KAFKA_WS_CONSUMER_METADATA_BROKER_LIST": ""},
            {"kafka", "valkey", "demo-producer"},
        ),
    ],
)
def test_only_what_nobody_has_named_is_started(variables: dict[str, str], own: set[str]) -> None:
    """There is no broker and no demo data beside a Kafka that is named, and no Valkey beside a named Redis."""
    assert set(environments(system_of(variables))) - {"ticket-service", "filter-1", "edge-1"} == own


def test_metrics_ports_count_up() -> None:
    """Every service has a Prometheus endpoint of its own, from the given port on."""
    got = environments(system_of({"KAFKA_WS_METRICS_PORT": "9100", "FILTERS": "2"}))
    ports = [got[name].get("KAFKA_WS_METRICS_PORT") for name in ("ticket-service", "filter-1", "filter-2", "edge-1")]
    assert ports == ["9100", "9101", "9102", "9103"]


# ------------------------------------------------------------------------------------------------ tokens


@pytest.mark.parametrize("setting", [{}, {"KAFKA_WS_TOKEN_TRUST_GATEWAY": "false"}])
def test_without_a_secret_each_run_makes_one_up(setting: dict[str, str]) -> None:
    """The ready-made token is signed with a random secret that the ticket service is told."""
    first, second = system_of(setting), system_of(setting)
    secret = environments(first)["ticket-service"][SECRET_VARIABLE]
    assert jwt.decode(first.token, secret, algorithms=["HS256"])["service"] == "admin"
    assert secret != environments(second)["ticket-service"][SECRET_VARIABLE]


def test_a_secret_from_a_file_signs_the_token(tmp_path: Path) -> None:
    """`KAFKA_WS_TOKEN_HS256_SECRET_FILE` is as good as the variable, and is left to the service to read."""
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    system = system_of({f"{SECRET_VARIABLE}_FILE": str(path)})
    assert jwt.decode(system.token, SECRET, algorithms=["HS256"])["service"] == "admin"
    assert SECRET_VARIABLE not in environments(system)["ticket-service"]


@pytest.mark.parametrize(
    "variable", ["KAFKA_WS_TOKEN_PUBLIC_KEY", "KAFKA_WS_TOKEN_PUBLIC_KEY_FILE", "KAFKA_WS_TOKEN_JWKS_URL"]
)
def test_with_keys_of_an_identity_provider_tokens_come_from_there(variable: str) -> None:
    """No secret is slipped under a configuration that verifies with public keys; grants get a key of their own."""
    system = system_of({variable: "x"})
    got = environments(system)["ticket-service"]
    assert system.token == ""
    assert SECRET_VARIABLE not in got
    assert len(got[GRANT_VARIABLE]) == 64
    assert "KAFKA_WS_TOKEN=YOUR_TOKEN" in str(system.announcement([]))


def test_behind_a_trusted_gateway_the_token_needs_no_secret() -> None:
    """When signatures are not verified there is a ready-made token all the same, and no secret is configured."""
    system = system_of({"KAFKA_WS_TOKEN_TRUST_GATEWAY": "true"})
    got = environments(system)["ticket-service"]
    assert jwt.decode(system.token, options={"verify_signature": False})["service"] == "admin"
    assert SECRET_VARIABLE not in got
    assert got[GRANT_VARIABLE]


def test_the_token_has_what_the_ticket_service_is_told_to_ask_for() -> None:
    """Issuer, audience and algorithm of the ready-made token are those that are configured."""
    asked = {"KAFKA_WS_TOKEN_ISSUER": "me", "KAFKA_WS_TOKEN_AUDIENCE": "you", "KAFKA_WS_TOKEN_ALGORITHMS": "HS512"}
    token = issue_token(SECRET * 2, "acme", asked)
    assert jwt.decode(token, SECRET * 2, algorithms=["HS512"], issuer="me", audience="you")["service"] == "acme"


# ------------------------------------------------------------------------------------------------ wrong values


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"FILTERS": "x"}, "FILTERS: 'x' is not a whole number between 1 and 64."),
        ({"EDGES": "65"}, "EDGES: '65' is not a whole number between 1 and 64."),
        ({"EDGES": "٣"}, "EDGES: '٣' is not a whole number between 1 and 64."),
        ({"KAFKA_WS_SERVER_PORT": "-1"}, "KAFKA_WS_SERVER_PORT: '-1' is not a whole number between 0 and 65535."),
        (
            {"KAFKA_WS_SERVER_PORT": "65535", "EDGES": "2"},
            "KAFKA_WS_SERVER_PORT: the ports of 2 edges end above 65535.",
        ),
        (
            {"KAFKA_WS_METRICS_PORT": "65534", "EDGES": "2"},
            "KAFKA_WS_METRICS_PORT: the ports of 4 services end above 65535.",
        ),
        (
            {"KAFKA_WS_SERVER_HOST": "192.0.2.1", "KAFKA_WS_SERVER_PORT": "18080"},
            "KAFKA_WS_SERVER_HOST, KAFKA_WS_SERVER_PORT: cannot listen at 192.0.2.1:18080 "
            f"({os.strerror(errno.EADDRNOTAVAIL)}).",
        ),
        (
            {"KAFKA_WS_SHUTDOWN_GRACE_SEC": "nan"},
            "KAFKA_WS_SHUTDOWN_GRACE_SEC: 'nan' is not a number between 0 and 3600.",
        ),
        (
            {"KAFKA_WS_TOKEN_HS256_SECRET_FILE": "/no/such/file"},
            "KAFKA_WS_TOKEN_HS256_SECRET_FILE: cannot read '/no/such/file' (No such file or directory).",
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_told_with_its_variable(variables: dict[str, str], sentence: str) -> None:
    """Nothing is started with a wrong value; the sentence says which variable has it, and what would do."""
    with pytest.raises(LocalRunError) as error:
        system_of(variables)
    assert str(error.value) == sentence
