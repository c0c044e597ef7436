"""The three tiers as real processes: `python -m ticket_service`, `filter_service` x n, `edge` x n.

Started by the fixtures of `tests/conftest.py`, by benchmarks and by chaos runs. Methods block and may be called from
any one thread at a time; asyncio tests call those that start or stop something through `asyncio.to_thread` when the
loop has other work meanwhile.
"""

import http.client
import sys
from collections.abc import Mapping
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from types import TracebackType
from typing import Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.processes import Process, free_port, inherited_environment, wait_until
from tests.redis_server import RedisAddress
from tests.stack.client import Client
from tests.stack.tokens import TokenIssuer

ROOT = Path(__file__).resolve().parents[2]
_START_TIMEOUT_SEC = 60.0

TICKET = "ticket"
"""Name of the ticket service's process; the others are `filter-<n>` and `edge-<n>`, n from 1."""


class Service:
    """One process of a tier. It has the same port at every start.

    :param name: `ticket`, `filter-<n>` or `edge-<n>`.
    :param module: what `python -m` runs.
    :param log_path: file for its output.
    """

    def __init__(self, name: str, module: str, log_path: Path) -> None:
        self.name = name
        self.module = module
        self.port = free_port()
        self.process = Process(name, [sys.executable, "-m", module], log_path=log_path, cwd=ROOT)

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"127.0.0.1:{self.port}"

    def start(self, settings: Mapping[str, str]) -> None:
        """Start it with these environment variables; returns at once."""
        paths = f"{ROOT}:{ROOT / 'proto' / 'generated'}"
        self.process.env = inherited_environment({"PYTHONPATH": paths, "PYTHONUNBUFFERED": "1", **settings})
        self.process.start()

    def wait_ready(self) -> None:
        """Wait until it says that it can serve.

        :raises ProcessFailedError: when it ends before, or takes too long; its log is in the text.
        """
        self.process.wait_ready(self.ready, _START_TIMEOUT_SEC)

    def ready(self) -> bool:
        """Whether it says that it can serve: `/readyz` of an edge, the gRPC health service of the others."""
        return self._readyz() if self.module == "edge" else self._healthy()

    def _readyz(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _healthy(self) -> bool:
        # A new channel for each question: an old one waits between its attempts to connect.
        with grpc.insecure_channel(self.address) as channel:
            try:
                stub = health_pb2_grpc.HealthStub(channel)
                # The published type stub has no methods.
                answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=5)  # type: ignore[attr-defined]
            except grpc.RpcError:
                return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


class Stack:
    """A running system. Set it up, change the settings if need be, then :meth:`start`.

    :param directory: an existing folder for the logs.
    :param bootstrap: Kafka's `host:port[,...]`.
    :param redis: where tickets are kept.
    :param filters: filter replicas to start.
    :param edges: edges to start.
    :param spare_filters: how many more filter replicas :meth:`add_filter` may start. Edges know their addresses from
        the beginning, as they would from a name service, and find nobody there until then.
    :param settings: environment variables of every process, on top of those that connect the tiers.
    """

    def __init__(
        self,
        directory: Path,
        bootstrap: str,
        redis: RedisAddress,
        *,
        filters: int = 1,
        edges: int = 1,
        spare_filters: int = 0,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._directory = directory
        self.tokens = TokenIssuer()
        self.services: dict[str, Service] = {}
        """Every process by name, those that do not run included."""
        ticket = self._add(TICKET, "ticket_service")
        replicas = [self._add(f"filter-{n}", "filter_service") for n in range(1, filters + spare_filters + 1)]
        self._to_start = [TICKET, *(replica.name for replica in replicas[:filters])]
        self._spare = [replica.name for replica in replicas[filters:]]
        self._to_start += [self._add(f"edge-{n}", "edge").name for n in range(1, edges + 1)]
        self.tier_settings: dict[str, dict[str, str]] = {
            "ticket_service": {
                "KAFKA_WS_TOKEN_HS256_SECRET": self.tokens.secret,
                **redis.settings(),
            },
            "filter_service": {"KAFKA_WS_CONSUMER_METADATA_BROKER_LIST": bootstrap},
            "edge": {
                "KAFKA_WS_TICKET_ADDRESS": ticket.address,
                "KAFKA_WS_FILTER_ADDRESS": ",".join(replica.address for replica in replicas),
            },
        }
        """Environment variables by tier (module name); what is changed here holds from a process' next start on."""
        for tier in self.tier_settings.values():
            tier["KAFKA_WS_SHUTDOWN_GRACE_SEC"] = "2"
            tier.update(settings or {})

    def _add(self, name: str, module: str) -> Service:
        service = Service(name, module, self._directory / f"{name}.log")
        self.services[name] = service
        return service

    # -------------------------------------------------------------------------------------------------- all of it

    def start(self) -> None:
        """Start everything and wait until every process is ready.

        :raises ProcessFailedError: when one does not become ready; its log is in the text.
        """
        for name in self._to_start:
            self._launch(name)
        for name in self._to_start:
            self.services[name].wait_ready()

    def stop(self) -> None:
        """SIGTERM to every process, edges first, SIGKILL to those that take too long."""
        processes = [service.process for service in reversed(self.services.values())]
        for process in processes:
            process.begin_stop()
        for process in processes:
            process.wait_or_kill()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # ------------------------------------------------------------------------------------------- single processes

    def _launch(self, name: str) -> None:
        service = self.services[name]
        port_variable = {
            "ticket_service": "KAFKA_WS_TICKET_GRPC_PORT",
            "filter_service": "KAFKA_WS_FILTER_GRPC_PORT",
            "edge": "KAFKA_WS_SERVER_PORT",
        }[service.module]
        service.start({port_variable: str(service.port), **self.tier_settings[service.module]})

    def process(self, name: str) -> Process:
        """The process of this name, e.g. for its pid, log and exit code."""
        return self.services[name].process

    def begin_start(self, name: str) -> None:
        """Start one process and return at once, e.g. when it cannot become ready yet."""
        self._launch(name)

    def start_one(self, name: str) -> None:
        """Start one process that does not run, and wait until it is ready."""
        self._launch(name)
        self.services[name].wait_ready()

    def stop_one(self, name: str) -> int | None:
        """SIGTERM one process and wait for its end (SIGKILL after a bound); returns its exit code."""
        return self.process(name).stop()

    def kill(self, name: str) -> None:
        """SIGKILL one process."""
        self.process(name).kill()

    def restart(self, name: str) -> None:
        """Stop one process, when it runs, start it again at its address, and wait until it is ready."""
        self.stop_one(name)
        self.start_one(name)

    def pause(self, name: str) -> None:
        """SIGSTOP one process."""
        self.process(name).signal(SIGSTOP)

    def resume(self, name: str) -> None:
        """SIGCONT one process."""
        self.process(name).signal(SIGCONT)

    def add_filter(self) -> str:
        """Start one of the spare filter replicas, wait until it is ready, and return its name."""
        assert self._spare, "no spare filter: give `spare_filters` when the stack is made"
        name = self._spare.pop(0)
        self.start_one(name)
        return name

    def add_edge(self) -> str:
        """Start one more edge, wait until it is ready, and return its name."""
        number = 1 + sum(service.module == "edge" for service in self.services.values())
        name = self._add(f"edge-{number}", "edge").name
        self.start_one(name)
        return name

    def wait_until_ready(self, name: str, *, ready: bool = True) -> None:
        """Wait until a process says that it is ready, or with `ready=False` that it is not.

        :raises TimeoutError: when it does not within a minute.
        """
        what = f"{name} {'ready' if ready else 'not ready'}"
        wait_until(lambda: self.services[name].ready() is ready, what, _START_TIMEOUT_SEC)

    # --------------------------------------------------------------------------------------------------- addresses

    @property
    def ticket_address(self) -> str:
        """gRPC `host:port` of the ticket service."""
        return self.services[TICKET].address

    def filter_address(self, number: int = 1) -> str:
        """gRPC `host:port` of a filter replica."""
        return self.services[f"filter-{number}"].address

    def edge_url(self, number: int = 1) -> str:
        """`http://host:port` of an edge."""
        return f"http://{self.services[f'edge-{number}'].address}"

    def client(self, edge: int = 1) -> Client:
        """A client of one edge."""
        return Client(self.edge_url(edge), self.tokens)
