"""The Kubernetes base, as far as it shows without a cluster: objects that fit each other, and the code."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.tiers import DEPLOY, TIERS, Tier

BASE = DEPLOY / "kubernetes" / "base"
COMPONENT = "app.kubernetes.io/component"
SECRETS = "/run/secrets/kafka-ws"
STOP_MARGIN_SEC = 5
"""Seconds that a process may need to end after all that it waits for, before Kubernetes kills it."""
OLDEST_KUBERNETES = (1, 30)
"""`preStop: sleep` needs it."""

Object = dict[str, Any]

KUSTOMIZATION: Object = yaml.safe_load((BASE / "kustomization.yaml").read_text())
OBJECTS: list[Object] = [
    document
    for path in sorted(BASE.glob("*.yaml"))
    if path.name != "kustomization.yaml"
    for document in yaml.safe_load_all(path.read_text())
]
CONFIG = dict(line.split("=", 1) for line in (BASE / "addresses.env").read_text().splitlines())


def of_kind(kind: str, tier: Tier) -> Object:
    """The only object of this kind that belongs to the tier."""
    (found,) = [o for o in OBJECTS if o["kind"] == kind and o["metadata"]["labels"][COMPONENT] == tier.name]
    return found


def container(tier: Tier) -> Object:
    """The only container of a tier's pods."""
    (found,) = pod(tier)["containers"]
    return dict(found)


def pod(tier: Tier) -> Object:
    """The spec of a tier's pods."""
    return dict(of_kind("Deployment", tier)["spec"]["template"]["spec"])


def ports(tier: Tier) -> dict[str, int]:
    """Name -> number of the ports of a tier's container."""
    return {port["name"]: port["containerPort"] for port in container(tier)["ports"]}


def environment(tier: Tier) -> dict[str, str]:
    """The variables of a tier's container, those from the generated ConfigMap filled in."""

    def values() -> Iterator[tuple[str, str]]:
        for variable in container(tier)["env"]:
            if "value" in variable:
                yield variable["name"], variable["value"]
            else:
                reference = variable["valueFrom"]["configMapKeyRef"]
                assert reference["name"] == KUSTOMIZATION["configMapGenerator"][0]["name"]
                yield variable["name"], CONFIG[reference["key"]]

    return dict(values())


@pytest.fixture(params=TIERS, ids=str)
def tier(request: pytest.FixtureRequest) -> Tier:
    """Each tier in turn."""
    found: Tier = request.param
    return found


def test_kustomize_takes_every_file() -> None:
    """No manifest is forgotten, and none that is listed is missing."""
    files = {path.name for path in BASE.iterdir()} - {"kustomization.yaml", "addresses.env"}
    assert set(KUSTOMIZATION["resources"]) == files
    assert len(KUSTOMIZATION["resources"]) == len(files)
    assert KUSTOMIZATION["configMapGenerator"][0]["envs"] == ["addresses.env"]


def test_the_objects_are_of_the_kinds_that_a_tier_has(tier: Tier) -> None:
    """A tier is a Deployment, a Service and a PodDisruptionBudget of one name, in versions that are stable."""
    versions = {"Deployment": "apps/v1", "Service": "v1", "PodDisruptionBudget": "policy/v1"}
    own = [o for o in OBJECTS if o["metadata"]["labels"][COMPONENT] == tier.name]
    assert {o["kind"]: o["apiVersion"] for o in own} == versions
    assert len(own) == len(versions)
    assert {o["metadata"]["name"] for o in own} == {tier.image}


def test_selectors_find_the_pods_of_their_tier_and_no_others(tier: Tier) -> None:
    """Deployment, Service, budget and spread constraint mean the pods that the Deployment makes."""
    selectors = [
        of_kind("Deployment", tier)["spec"]["selector"]["matchLabels"],
        of_kind("Service", tier)["spec"]["selector"],
        of_kind("PodDisruptionBudget", tier)["spec"]["selector"]["matchLabels"],
        pod(tier)["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ]
    labels = {other.name: of_kind("Deployment", other)["spec"]["template"]["metadata"]["labels"] for other in TIERS}
    for selector in selectors:
        assert selector
        assert [name for name, has in labels.items() if selector.items() <= has.items()] == [tier.name]


def test_a_service_leads_to_the_port_that_the_tier_serves_at(tier: Tier) -> None:
    """What a Service forwards to is the default port of the process in the container."""
    (port,) = of_kind("Service", tier)["spec"]["ports"]
    assert ports(tier)[port["targetPort"]] == tier.port


@pytest.mark.parametrize("name", ["filter", "ticket"])
def test_grpc_tiers_are_headless(name: str) -> None:
    """Edges see the address of each ready replica, since one gRPC connection lasts and would stay at one."""
    (tier,) = [tier for tier in TIERS if tier.name == name]
    service = of_kind("Service", tier)["spec"]
    assert service["clusterIP"] == "None"
    # A headless Service does no port mapping.
    assert service["ports"][0]["port"] == tier.port
    assert not service.get("publishNotReadyAddresses", False)


def test_the_edge_is_told_the_names_of_the_other_tiers() -> None:
    """The addresses in the edge's environment are those of the Services."""
    edge, filter_tier, ticket_tier = TIERS
    got = environment(edge)
    for variable, other in (("KAFKA_WS_FILTER_ADDRESS", filter_tier), ("KAFKA_WS_TICKET_ADDRESS", ticket_tier)):
        service = of_kind("Service", other)
        assert got[variable] == f"{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"


def test_a_tier_starts_with_the_settings_of_its_manifest(tier: Tier, tmp_path: Path) -> None:
    """Every variable is one that the tier reads, and together they are a configuration that it accepts."""
    given = environment(tier)
    assert set(given) <= tier.variables
    for variable, value in given.items():
        if variable.endswith("_FILE"):
            folder, _, key = value.rpartition("/")
            assert [mount["mountPath"] for mount in container(tier)["volumeMounts"]] == [folder] == [SECRETS]
            (tmp_path / key).write_text("a secret that is long enough for the check at start")
            given[variable] = str(tmp_path / key)
    loaded = tier.loaded(given)
    assert loaded.metrics_port == ports(tier)["metrics"]


def test_secrets_are_files_of_a_secret_object() -> None:
    """The token secret comes from a Secret, mounted readable for the pod's user only."""
    (ticket,) = [tier for tier in TIERS if tier.name == "ticket"]
    (volume,) = pod(ticket)["volumes"]
    assert volume["secret"] == {"secretName": "kafka-ws", "defaultMode": 0o440}
    (mount,) = container(ticket)["volumeMounts"]
    assert (mount["name"], mount["readOnly"]) == (volume["name"], True)
    assert pod(ticket)["securityContext"]["fsGroup"] == pod(ticket)["securityContext"]["runAsUser"]
    text = (BASE / "kustomization.yaml").read_text()
    command = re.search(r"create secret generic (\S+) --from-literal=([^=]+)=", text)
    assert command is not None
    assert command.groups() == ("kafka-ws", environment(ticket)["KAFKA_WS_TOKEN_HS256_SECRET_FILE"].rsplit("/", 1)[1])


@pytest.mark.parametrize("kind", ["readinessProbe", "livenessProbe"])
def test_a_probe_asks_at_a_port_that_exists(tier: Tier, kind: str) -> None:
    """Probes go to the tier's own port, by HTTP to the edge, by gRPC or TCP to the others."""
    probe = container(tier)[kind]
    (way,) = {"httpGet", "grpc", "tcpSocket"} & set(probe)
    port = probe[way]["port"]
    assert ports(tier).get(port, port) == tier.port
    assert way == "httpGet" if tier.name == "edge" else way in ("grpc", "tcpSocket")
    assert probe["timeoutSeconds"] <= probe["periodSeconds"]


def test_readiness_asks_for_the_dependencies_and_life_does_not() -> None:
    """A tier whose Kafka or Redis is away takes no clients, but is not restarted for that."""
    edge, *grpc_tiers = TIERS
    assert container(edge)["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container(edge)["livenessProbe"]["httpGet"]["path"] == "/healthz"
    for tier in grpc_tiers:
        assert "grpc" in container(tier)["readinessProbe"]
        assert "tcpSocket" in container(tier)["livenessProbe"]


def test_a_pod_is_given_the_time_that_its_drain_takes(tier: Tier) -> None:
    """`terminationGracePeriodSeconds` covers the pre-stop pause, the process' own grace period, and a margin."""
    pause = container(tier).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    grace = float(environment(tier)["KAFKA_WS_SHUTDOWN_GRACE_SEC"])
    assert pod(tier)["terminationGracePeriodSeconds"] >= pause + grace + STOP_MARGIN_SEC


def test_a_pod_has_no_privileges(tier: Tier) -> None:
    """No root, no new privileges, no capabilities, no writable root file system, no token of the cluster."""
    spec, context = pod(tier), container(tier)["securityContext"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}


def test_variables_that_kubernetes_would_invent_are_kept_out(tier: Tier) -> None:
    """A Service named kafka-ws-... would become variables named KAFKA_WS_..., like settings."""
    assert pod(tier)["enableServiceLinks"] is False


def test_a_pod_says_what_it_needs(tier: Tier) -> None:
    """The scheduler knows CPU and memory; memory has a limit, CPU has none that would slow everything down."""
    resources = container(tier)["resources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    assert set(resources["limits"]) == {"memory"}
    assert mebibytes(resources["requests"]["memory"]) <= mebibytes(resources["limits"]["memory"])


def test_updates_and_evictions_leave_replicas_at_work(tier: Tier) -> None:
    """There are several replicas, and neither a new version nor an emptied node takes all of them away."""
    deployment, budget = of_kind("Deployment", tier)["spec"], of_kind("PodDisruptionBudget", tier)["spec"]
    assert deployment["replicas"] > budget["maxUnavailable"] > 0
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_images_have_a_version_that_kustomize_sets(tier: Tier) -> None:
    """The container's image is that of the tier's Dockerfile, and its version is said in one place."""
    assert container(tier)["image"] == tier.image
    versions = {image["name"]: image["newTag"] for image in KUSTOMIZATION["images"]}
    assert versions[tier.image] not in ("", "latest")
    assert f"-t {tier.image} ." in tier.dockerfile.read_text()


def mebibytes(quantity: str) -> float:
    """A Kubernetes memory quantity with a binary suffix."""
    number, suffix = re.fullmatch(r"([0-9]+)(Mi|Gi)", quantity).groups()  # type: ignore[union-attr]
    return int(number) * {"Mi": 1, "Gi": 1024}[suffix]
