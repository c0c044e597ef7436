"""`make run`, for real: everything that issue 3 asks of it, with all processes."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import jwt
import pytest
import redis

from deploy.local import run_file
from deploy.local.settings import LOOPBACK, REPOSITORY
from tests.conftest import CreateTopic
from tests.deploy.local_run import (
    NOTHING_TO_INSTALL,
    TIMEOUT_SEC,
    LocalRun,
    make_tail,
    ports_in_a_row,
    shell_environment,
)
from tests.deploy.process_table import children, environment_of
from tests.kafka.cluster import KafkaCluster
from tests.kafka.records import RecordWriter
from tests.processes import free_port, wait_until
from tests.redis_server import RedisAddress
from tests.stack.tokens import TokenIssuer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc, which needs Linux")

PARTS = ("kafka", "valkey", "ticket-service", "filter-1", "edge-1", "demo-producer")


def can_connect(address: str) -> bool:
    host, port = address.rsplit(":", 1)
    with closing(socket.socket()) as probe:
        return probe.connect_ex((host, int(port))) == 0


@contextmanager
def occupied(port: int) -> Iterator[None]:
    """Somebody else listens at the port."""
    with closing(socket.create_server((LOOPBACK, port))):
        yield


def run_refused(**variables: str) -> subprocess.CompletedProcess[str]:
    """A run that cannot start, to its end."""
    return subprocess.run(
        [sys.executable, "deploy/local/run.py"],
        cwd=REPOSITORY,
        env=shell_environment(variables),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SEC,
        check=False,
    )


# ------------------------------------------------------------------------------------------------ what it shows


def test_the_last_line_says_that_it_is_ready_and_where(local_run: LocalRun) -> None:
    """A person, or a script, sees at the end of the output that everything runs, and the address."""
    assert local_run.announced.endswith(f"\nready {local_run.url}\n")


def test_the_table_has_every_process_with_its_address_and_pid(local_run: LocalRun) -> None:
    """The processes in the table are those that the launcher has started, and they listen where it says."""
    rows = local_run.rows()
    assert tuple(rows) == PARTS
    assert {row.pid for row in rows.values()} == children(local_run.launcher)
    addresses = {name: row.address for name, row in rows.items()}
    assert addresses["edge-1"] == f"{LOOPBACK}:{local_run.port}"
    assert addresses.pop("demo-producer") == "-"
    assert all(can_connect(address) for address in addresses.values())


def test_the_ready_made_token_is_traded_for_a_ticket(local_run: LocalRun) -> None:
    """The printed token works as it is, and a changed one does not."""
    assert local_run.ticket_status(local_run.token) == 200
    assert local_run.ticket_status(local_run.token[:-8] + "AAAAAAAA") == 401


def test_the_printed_command_shows_live_filtered_data(local_run: LocalRun) -> None:
    """Copied into a shell, the command shows records that obey its filter, cut down to its fields."""
    found = re.search(r"^  (make tail .*)$", local_run.announced, re.MULTILINE)
    assert found is not None
    command = f"{found[1]} COUNT=15 {shlex.join(NOTHING_TO_INSTALL)}"
    shown = subprocess.run(
        ["sh", "-c", command],
        cwd=REPOSITORY,
        env=shell_environment({}),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SEC,
        check=True,
    ).stdout.splitlines()
    records = [json.loads(line) for line in shown]
    assert len(records) == 15
    for record in records:
        assert set(record) == {"sensor", "temperature"}
        assert set(record["sensor"]) == {"status"}
        assert record["temperature"] >= 25


# ------------------------------------------------------------------------------------------------ crashes and ends


def test_parts_that_crash_are_told_by_name_and_come_back(local_run: LocalRun) -> None:
    """Each killed part is reported with its name and pid and is started again, after which data flows as before."""
    before = local_run.rows()
    for row in before.values():
        os.kill(row.pid, signal.SIGKILL)
    for name, row in before.items():
        told = f"{name} (pid {row.pid}) was killed by signal 9; restarting"
        wait_until(lambda told=told: told in local_run.make.log(), told, TIMEOUT_SEC)  # type: ignore[misc]
    wait_until(
        lambda: all(row.pid != before[name].pid for name, row in local_run.rows().items()), "new rows", TIMEOUT_SEC
    )
    wait_until(lambda: local_run.tail("COUNT=1").returncode == 0, "records after the crash", TIMEOUT_SEC)
    after = local_run.rows()
    assert {name for name in PARTS if after[name].address != before[name].address} <= {"kafka"}


def test_with_more_filters_and_edges_all_settings_are_honoured_until_ctrl_c(tmp_path: Path) -> None:
    """FILTERS, EDGES, the first port, the secret and other variables take effect; Ctrl-C leaves no process behind."""
    secret = "a secret of this test, which is long enough"
    settings = {"KAFKA_WS_TOKEN_HS256_SECRET": secret, "KAFKA_WS_SERVER_PING_INTERVAL_SEC": "17"}
    run = LocalRun(tmp_path, "FILTERS=2", "EDGES=2", variables=settings, edges=2)
    with run:
        rows = run.rows()
        assert tuple(rows) == (
            "kafka",
            "valkey",
            "ticket-service",
            "filter-1",
            "filter-2",
            "edge-1",
            "edge-2",
            PARTS[-1],
        )
        assert rows["edge-1"].address == f"{LOOPBACK}:{run.port}"
        assert rows["edge-2"].address == f"{LOOPBACK}:{run.port + 1}"

        assert jwt.decode(run.token, secret, algorithms=["HS256"])["service"] == "admin"
        own_token = TokenIssuer(secret).token()
        for edge in (1, 2):
            assert run.ticket_status(own_token, edge) == 200
            url = f"URL=http://{LOOPBACK}:{run.port + edge - 1}"
            assert make_tail(url, f"KAFKA_WS_TOKEN={own_token}", "TOPIC=admin.sensors", "COUNT=3").returncode == 0
        for name in ("ticket-service", "filter-2", "edge-2"):
            assert environment_of(rows[name].pid)["KAFKA_WS_SERVER_PING_INTERVAL_SEC"] == "17"

        run.interrupt()
        assert run.make.wait(TIMEOUT_SEC) == -signal.SIGINT  # of make, as a shell expects it
        assert run.left_over() == {}
        assert "did not end" not in run.make.log()
        assert run_file.find(run.port) is None
        assert not any(can_connect(row.address) for row in rows.values() if row.address != "-")


def test_an_existing_kafka_and_redis_are_used_instead_of_own_ones(
    tmp_path: Path, kafka: KafkaCluster, create_topic: CreateTopic, records: RecordWriter, redis_address: RedisAddress
) -> None:
    """With the variables of Kafka and Redis there is no local one and no demo data, but theirs is served."""
    name, prefix = create_topic(), "local-run-test:"
    settings = {
        "KAFKA_WS_CONSUMER_METADATA_BROKER_LIST": kafka.bootstrap,
        "KAFKA_WS_REDIS_KEY_PREFIX": prefix,
        **redis_address.settings(),
    }
    # In the background of a script, SIGINT is ignored.
    run = LocalRun(tmp_path, variables=settings, in_front=("sh", "-c", 'trap "" INT; exec "$@"', "sh"))
    with run:
        assert tuple(run.rows()) == ("ticket-service", "filter-1", "edge-1")
        assert f"Kafka at {kafka.bootstrap} is used; there is no demo data." in run.announced
        assert f"Redis at {redis_address.host}:{redis_address.port} is used." in run.announced

        assert run.ticket_status(run.token) == 200
        with closing(redis.Redis(redis_address.host, redis_address.port)) as store:
            assert len(store.keys(f"{prefix}*")) == 1

        written = threading.Event()

        def write() -> None:
            while not written.wait(0.1):
                records.write(name, '{"v":1,"w":2}')

        writer = threading.Thread(target=write)
        writer.start()
        try:
            shown = run.tail(f"TOPIC={name}", "WHERE=v=eq:1;", "FIELDS=w", "COUNT=1")
        finally:
            written.set()
            writer.join()
        assert (shown.stdout, shown.returncode) == ('{"w":2}\n', 0)

        os.kill(run.launcher, signal.SIGINT)
        assert run.make.wait(TIMEOUT_SEC) == 0
        assert run.left_over() == {}


# ------------------------------------------------------------------------------------------------ what it refuses


@pytest.mark.parametrize("taken", [0, 1])
def test_a_taken_port_of_an_edge_is_told(taken: int) -> None:
    """When another program listens at an edge's port, one sentence says at which, and what to do."""
    first = ports_in_a_row(2)
    with occupied(first + taken):
        refused = run_refused(KAFKA_WS_SERVER_PORT=str(first), EDGES="2")
    assert refused.stderr == (
        f"edge-{taken + 1} cannot listen at {LOOPBACK}:{first + taken}, it is in use: "
        "set KAFKA_WS_SERVER_PORT to a free port.\n"
    )
    assert (refused.returncode, refused.stdout) == (1, "")


@pytest.mark.parametrize(
    ("variables", "code", "sentence"),
    [
        ({"FILTERS": "0"}, 1, "FILTERS: '0' is not a whole number between 1 and 64.\n"),
        ({"KAFKA_WS_LOG_LEVEL": "loud"}, 78, "KAFKA_WS_LOG_LEVEL: 'loud' is not one of "),
        ({"KAFKA_WS_TICKET_EXPIRATION_SEC": "0"}, 1, "ticket-service cannot run with these settings; "),
        ({"KAFKA_WS_FILTER_BATCH_RECORDS": "x"}, 1, "filter-1 cannot run with these settings; "),
        ({"KAFKA_WS_SERVER_MAX_CONNECTIONS": "-1"}, 1, "edge-1 cannot run with these settings; "),
    ],
)
def test_a_wrong_setting_of_any_tier_is_told_by_its_name(variables: dict[str, str], code: int, sentence: str) -> None:
    """The run ends at once, and its error names the part and the variable, without a traceback."""
    refused = run_refused(KAFKA_WS_SERVER_PORT=str(free_port()), **variables)
    (variable,) = variables
    assert refused.returncode == code
    assert refused.stderr.startswith(sentence)
    assert f"{variable}: " in refused.stderr
    assert "Traceback" not in refused.stderr
    assert refused.stdout == ""
