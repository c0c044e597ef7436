"""What images, compose file and manifests have to agree on with the code, tier by tier."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from deploy.local.settings import REPOSITORY
from edge.config import EdgeSettings
from filter_service.config import FilterSettings
from runtime.settings import ServiceSettings, is_secret, variable_name
from ticket_service.config import TicketServiceSettings

DEPLOY = REPOSITORY / "deploy"


@dataclass(frozen=True)
class Tier:
    """One tier.

    :param name: in compose and Kubernetes.
    :param package: of Python.
    :param settings: its settings.
    :param port_field: of `settings`; the port that it serves at.
    :param host_field: of `settings`; the address that it listens at.
    """

    name: str
    package: str
    settings: type[ServiceSettings]
    port_field: str
    host_field: str

    def __str__(self) -> str:
        return self.name

    @property
    def image(self) -> str:
        """Name of its image."""
        return f"kafka-ws-{self.name}"

    @property
    def dockerfile(self) -> Path:
        """How its image is built."""
        return DEPLOY / "images" / f"{self.package}.Dockerfile"

    @property
    def lock(self) -> Path:
        """What its image installs, with hashes."""
        return DEPLOY / "images" / "requirements" / f"{self.package}.txt"

    @property
    def port(self) -> int:
        """Where it listens when it is not told."""
        return int(self.settings.model_fields[self.port_field].default)

    @property
    def variables(self) -> set[str]:
        """Every environment variable that it reads."""
        fields = self.settings.model_fields.items()
        files = {f"{variable_name(name)}_FILE" for name, field in fields if is_secret(field)}
        return {variable_name(name) for name, _ in fields} | files

    def loaded(self, environment: Mapping[str, str]) -> ServiceSettings:
        """Its settings in this environment alone.

        :raises Exception: when it would refuse to start.
        """
        with only_environment(environment):
            return self.settings()


TIERS = (
    Tier("edge", "edge", EdgeSettings, "server_port", "server_host"),
    Tier("filter", "filter_service", FilterSettings, "filter_grpc_port", "filter_grpc_host"),
    Tier("ticket", "ticket_service", TicketServiceSettings, "ticket_grpc_port", "ticket_grpc_host"),
)


@contextmanager
def only_environment(environment: Mapping[str, str]) -> Iterator[None]:
    """Replaces the environment of this process."""
    with mock.patch.dict(os.environ, environment, clear=True):
        yield
