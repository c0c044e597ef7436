"""The compose file, as far as it shows without a container engine: parts that fit each other, and the code."""

import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from deploy.local.settings import REPOSITORY
from tests.deploy.local_run import LocalRun
from tests.deploy.tiers import DEPLOY, TIERS, Tier
from tests.processes import free_port

TEXT = (DEPLOY / "compose.yaml").read_text()
SECRET = "a secret that is long enough for the check at start"


def interpolated(text: str, environment: dict[str, str]) -> str:
    """The text with `${NAME:-default}` and `${NAME:?message}` replaced, as compose does.

    :raises KeyError: a variable with a message is not given.
    """

    def value(match: re.Match[str]) -> str:
        name, operator, rest = match.groups()
        return environment[name] if operator == ":?" else environment.get(name) or rest

    return re.sub(r"\$\{(\w+)(:-|:\?)([^}]*)\}", value, text)


COMPOSE: dict[str, Any] = yaml.safe_load(interpolated(TEXT, {"KAFKA_WS_TOKEN_HS256_SECRET": SECRET}))
SERVICES: dict[str, Any] = COMPOSE["services"]


def seconds(duration: str) -> int:
    """A duration in whole seconds."""
    assert duration.endswith("s")
    return int(duration[:-1])


@pytest.fixture(params=TIERS, ids=str)
def tier(request: pytest.FixtureRequest) -> Tier:
    """Each tier in turn."""
    found: Tier = request.param
    return found


def test_it_has_kafka_valkey_and_the_tiers() -> None:
    """One command brings up everything; versions of foreign images are fixed."""
    assert set(SERVICES) == {"kafka", "valkey", *(tier.name for tier in TIERS)}
    for name in ("kafka", "valkey"):
        assert re.search(r":[0-9]+\.[0-9]", SERVICES[name]["image"])


def test_without_a_secret_nothing_starts() -> None:
    """There is no default secret: compose refuses, and says which variable to set."""
    with pytest.raises(KeyError, match="KAFKA_WS_TOKEN_HS256_SECRET"):
        interpolated(TEXT, {})


def test_a_tier_is_built_from_its_dockerfile(tier: Tier) -> None:
    """Context and Dockerfile are where the file says, seen from its own folder."""
    build = SERVICES[tier.name]["build"]
    context = (DEPLOY / build["context"]).resolve()
    assert context == REPOSITORY
    assert context / build["dockerfile"] == tier.dockerfile
    assert SERVICES[tier.name]["image"] == tier.image


def test_a_tier_starts_with_the_settings_of_the_file(tier: Tier) -> None:
    """Every variable is one that the tier reads, and together they are a configuration that it accepts."""
    given = SERVICES[tier.name]["environment"]
    assert set(given) <= tier.variables
    loaded = tier.loaded(given)
    assert seconds(SERVICES[tier.name]["stop_grace_period"]) >= loaded.shutdown_grace_sec + 5


@pytest.mark.parametrize(
    ("service", "variable", "address"),
    [
        ("edge", "KAFKA_WS_FILTER_ADDRESS", "filter:{filter}"),
        ("edge", "KAFKA_WS_TICKET_ADDRESS", "ticket:{ticket}"),
        ("filter", "KAFKA_WS_CONSUMER_METADATA_BROKER_LIST", "kafka:9092"),
        ("ticket", "KAFKA_WS_REDIS_HOST", "valkey"),
    ],
)
def test_parts_find_each_other_by_name(service: str, variable: str, address: str) -> None:
    """An address is the name of another service of the file, and the port that it listens at."""
    expected = address.format(**{tier.name: tier.port for tier in TIERS})
    assert SERVICES[service]["environment"][variable] == expected
    assert expected.partition(":")[0] in SERVICES
    assert expected.partition(":")[0] in SERVICES[service]["depends_on"]


def test_kafka_can_be_reached_from_inside_and_from_the_machine() -> None:
    """Each listener is advertised by an address that works where it is used; the other port is published."""
    environment = SERVICES["kafka"]["environment"]
    assert environment["KAFKA_PROCESS_ROLES"] == "broker,controller"
    listeners = dict(item.split("://") for item in environment["KAFKA_LISTENERS"].split(","))
    advertised = dict(item.split("://") for item in environment["KAFKA_ADVERTISED_LISTENERS"].split(","))
    protocols = dict(item.split(":") for item in environment["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    assert advertised == {"INTERNAL": "kafka:9092", "HOST": "127.0.0.1:29092"}
    assert set(listeners) == set(protocols) == {*advertised, environment["KAFKA_CONTROLLER_LISTENER_NAMES"]}
    assert all(listeners[name] == f":{address.rsplit(':', 1)[1]}" for name, address in advertised.items())
    assert SERVICES["kafka"]["ports"] == ["127.0.0.1:29092:29092"]
    controller = environment["KAFKA_CONTROLLER_QUORUM_VOTERS"]
    assert controller == f"{environment['KAFKA_NODE_ID']}@kafka{listeners['CONTROLLER']}"
    assert environment["KAFKA_INTER_BROKER_LISTENER_NAME"] in advertised


def test_only_what_people_use_is_published_and_only_on_this_machine() -> None:
    """The edge and Kafka have ports on the loopback interface; tickets and filters are nobody else's business."""
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    (edge,) = [tier for tier in TIERS if tier.name == "edge"]
    assert set(published) == {"edge", "kafka"}
    assert published["edge"] == [f"127.0.0.1:8080:{edge.port}"]
    assert "127.0.0.1:${KAFKA_WS_SERVER_PORT:-8080}:" in TEXT


def test_a_tier_waits_for_what_it_needs(tier: Tier) -> None:
    """It starts when the others are healthy, and they all say when they are."""
    needed = SERVICES[tier.name]["depends_on"]
    assert all(condition == {"condition": "service_healthy"} for condition in needed.values())
    assert all("healthcheck" in SERVICES[name] for name in needed)


def test_a_health_check_is_a_program_that_asks_at_the_port_of_its_tier(tier: Tier) -> None:
    """The images have no tools but Python; what it runs there compiles, and asks this very process."""
    command, *arguments, program = SERVICES[tier.name]["healthcheck"]["test"]
    assert (command, arguments) == ("CMD", ["python", "-c"])
    compile(program, "healthcheck", "exec")
    assert f'"127.0.0.1:{tier.port}"' in program or f'"http://127.0.0.1:{tier.port}/readyz"' in program


def test_a_health_check_tells_a_healthy_tier_from_none(tier: Tier, local_run: LocalRun) -> None:
    """The program succeeds when the tier of a running system is asked, and fails where nobody answers."""
    *_, program = SERVICES[tier.name]["healthcheck"]["test"]
    part = {"edge": "edge-1", "filter": "filter-1", "ticket": "ticket-service"}[tier.name]
    healthy, absent = local_run.rows()[part].address, f"127.0.0.1:{free_port()}"
    for address, succeeds in ((healthy, True), (absent, False)):
        asked = program.replace(f"127.0.0.1:{tier.port}", address)
        outcome = subprocess.run([sys.executable, "-c", asked], capture_output=True, timeout=60, check=False)
        assert (outcome.returncode == 0) is succeeds


def test_a_tier_has_no_privileges(tier: Tier) -> None:
    """Nothing can be written, no capability is left, and none can be gained."""
    service = SERVICES[tier.name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_volumes_are_declared() -> None:
    """Every named volume that is mounted exists."""
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert used == set(COMPOSE["volumes"])
