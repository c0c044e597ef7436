"""The clients of README.md's chapter on delivery keep its promises while edges are killed, drained and restarted."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CreateTopic, MakeStack
from tests.docs.page import ROOT
from tests.kafka.cluster import KafkaCluster
from tests.kafka.feed import Feed
from tests.kafka.records import RecordWriter
from tests.processes import Process, wait_until
from tests.stack.stack import Stack

WAIT_SEC = 90.0
PARTITIONS = 3


@pytest.fixture(params=["resume.py", "resume.mjs"])
def program(request: pytest.FixtureRequest) -> list[str]:
    """The command that runs an example."""
    interpreter = [sys.executable] if request.param.endswith(".py") else request.getfixturevalue("node")
    return [*interpreter, f"examples/{request.param}"]


class Follower:
    """A running example.

    :param program: the command that runs it.
    :param log_path: for what it prints.
    """

    def __init__(
        self, program: list[str], log_path: Path, stack: Stack, topic: str, *query: str, token: str | None = None
    ) -> None:
        command = [*program, stack.edge_url(), token or stack.tokens.token(), topic, *query]
        self.process = Process(log_path.stem, command, log_path=log_path, cwd=ROOT)

    def __enter__(self) -> "Follower":
        self.process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stop()

    @property
    def records(self) -> list[dict[str, Any]]:
        """What it has printed; the line that it is about to print is left out."""
        *lines, _ = self.process.log().split("\n")
        return [json.loads(line) for line in lines if line.startswith("{")]

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        """Wait until it has printed so many records."""
        self.process.wait_ready(lambda: self.process.log().count('"offset"') >= count, WAIT_SEC)
        return self.records


def places(records: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """Partition and number of each record."""
    return [(record["partition"], record["value"]["n"]) for record in records]


def test_a_client_goes_on_behind_its_last_record(
    make_stack: MakeStack, create_topic: CreateTopic, records: RecordWriter, program: list[str], tmp_path: Path
) -> None:
    """While the edge is killed, drained, and ends connections by their age, every record is printed once, in order."""
    stack = make_stack()
    topic = create_topic(partitions=PARTITIONS)
    feed = Feed(records, topic, PARTITIONS)
    feed.write()
    query = ("from=earliest", "where=n=gte:0;", "fields=n")
    with Follower(program, tmp_path / "follower.log", stack, topic, *query) as follower:
        follower.wait_for(feed.total)
        with feed.running():
            for end in (stack.kill, stack.stop_one, stack.kill):
                end("edge-1")
                if "1001" in follower.process.log():
                    stack.tier_settings["edge"]["KAFKA_WS_SERVER_CONNECTION_MAX_LIFE_TIME"] = "2"
                stack.start_one("edge-1")
                follower.wait_for(feed.total)
            wait_until(lambda: "4408" in follower.process.log(), "a connection has ended by its age", WAIT_SEC)
        feed.check(places(follower.wait_for(feed.total)))


def test_a_client_waits_while_nobody_can_serve(
    make_stack: MakeStack, create_topic: CreateTopic, records: RecordWriter, program: list[str], tmp_path: Path
) -> None:
    """Without a filter replica its connection ends with 4503, none can be opened; then comes what it missed."""
    stack = make_stack(settings={"KAFKA_WS_SERVER_UNAVAILABLE_TIMEOUT_SEC": "0.5"})
    topic = create_topic(partitions=PARTITIONS)
    feed = Feed(records, topic, PARTITIONS)
    feed.write()
    with Follower(program, tmp_path / "follower.log", stack, topic, "from=earliest") as follower:
        follower.wait_for(feed.total)
        stack.kill("filter-1")
        feed.write()
        wait_until(lambda: "4503" in follower.process.log(), "the connection has ended", WAIT_SEC)
        # Once more, and not let in.
        wait_until(lambda: follower.process.log().count("again in") >= 2, "another attempt", WAIT_SEC)
        stack.start_one("filter-1")
        feed.check(places(follower.wait_for(feed.total)))


def test_a_client_that_is_started_again_goes_on(
    stack: Stack, create_topic: CreateTopic, records: RecordWriter, program: list[str], tmp_path: Path
) -> None:
    """`from=` the position of any line that was printed gives the lines that followed it."""
    topic = create_topic(partitions=PARTITIONS)
    feed = Feed(records, topic, PARTITIONS)
    feed.write()
    with Follower(program, tmp_path / "first.log", stack, topic, "from=earliest", "until=latest") as first:
        assert first.process.wait(WAIT_SEC) == 0
    feed.check(places(first.records))
    last = feed.total // 2
    query = (f"from={first.records[last]['position']}", "until=latest")
    with Follower(program, tmp_path / "second.log", stack, topic, *query) as second:
        assert second.process.wait(WAIT_SEC) == 0
    feed.check(places([*first.records[: last + 1], *second.records]))


def test_a_client_is_told_of_a_gap(
    stack: Stack,
    kafka: KafkaCluster,
    create_topic: CreateTopic,
    records: RecordWriter,
    program: list[str],
    tmp_path: Path,
) -> None:
    """Where its position is gone a client ends with 4410, or is told what is missing and goes on."""
    topic = create_topic()
    records.write_all(topic, [b'{"n":%d}' % number for number in range(10)])
    with Follower(program, tmp_path / "first.log", stack, topic, "from=earliest", "until=latest") as first:
        assert first.process.wait(WAIT_SEC) == 0
    kafka.delete_records(topic, before=7)
    query = (f"from={first.records[3]['position']}", "until=latest")
    with Follower(program, tmp_path / "second.log", stack, topic, *query) as second:
        assert second.process.wait(WAIT_SEC) == 1
    assert "4410" in second.process.log()
    assert "first offset is 7" in second.process.log()
    with Follower(program, tmp_path / "third.log", stack, topic, *query, "on_gap=continue") as third:
        assert third.process.wait(WAIT_SEC) == 0
    gap, *rest = third.records
    assert gap["gap"] == {"partition": 0, "from": 4, "to": 7}
    assert [record["offset"] for record in rest] == [7, 8, 9]


@pytest.mark.parametrize(
    ("topic", "query", "token", "told"),
    [
        ("admin.t", "where=n=above:1;", None, "4001"),
        ("other.t", "where=", None, "4403"),
        ("admin.t", "where=", "forged", "401"),
    ],
)
def test_a_client_does_not_try_in_vain(
    stack: Stack, program: list[str], tmp_path: Path, topic: str, query: str, token: str | None, told: str
) -> None:
    """What will be refused again ends a client at once, and is told."""
    with Follower(program, tmp_path / "follower.log", stack, topic, query, token=token) as follower:
        assert follower.process.wait(WAIT_SEC) == 1
    assert told in follower.process.log()
    assert "again in" not in follower.process.log()
