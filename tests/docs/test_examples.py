"""The examples do what README.md and their own first lines promise, on the real services."""

import re
import sys
from pathlib import Path

from tests.conftest import CreateTopic, MakeStack
from tests.docs.page import ROOT, blocks, section, text_of
from tests.kafka.records import RecordWriter
from tests.processes import Process, inherited_environment, wait_until
from tests.stack.stack import Stack

WAIT_SEC = 60.0


def subscriber(folder: Path, stack: Stack, topic: str, *replicas: int) -> Process:
    """`examples/subscribe.py` for even numbers, cut down to the number, at these filter replicas."""
    addresses = ",".join(stack.filter_address(number) for number in replicas)
    query = ("--where", "even=bool:true;", "--fields", "n")
    command = [sys.executable, "examples/subscribe.py", addresses, topic, *query]
    paths = f"{ROOT}:{ROOT / 'proto' / 'generated'}"
    environment = inherited_environment({"PYTHONPATH": paths})
    return Process("subscribe", command, log_path=folder / "subscribe.log", env=environment, cwd=ROOT)


def printed(process: Process) -> list[str]:
    """The records that it has printed."""
    return [line for line in process.log().splitlines() if line.startswith("{")]


def payloads(first: int, count: int) -> list[bytes]:
    """Records with the numbers from `first` on."""
    return [
        b'{"n":%d,"even":%s,"more":"left out"}' % (n, b"false" if n % 2 else b"true")
        for n in range(first, first + count)
    ]


def expected(count: int) -> list[str]:
    """What is to be printed of the first `count` records."""
    return [f'{{"n":{n}}}' for n in range(0, count, 2)]


def write_and_wait(records: RecordWriter, topic: str, process: Process, first: int) -> None:
    """A hundred records more, and the wait until those that match are printed."""
    records.write_all(topic, payloads(first, 100))
    wait_until(lambda: len(printed(process)) >= (first + 100) // 2, "records printed", WAIT_SEC)


def test_a_backend_goes_on_at_another_replica(
    make_stack: MakeStack, create_topic: CreateTopic, records: RecordWriter, tmp_path: Path
) -> None:
    """Matching records are printed cut down, in order and once, when one replica crashes and the next is drained."""
    stack = make_stack(filters=2)
    topic = create_topic()
    process = subscriber(tmp_path, stack, topic, 1, 2)
    process.start()
    try:
        wait_until(lambda: "serves" in process.log(), "subscription open", WAIT_SEC)
        write_and_wait(records, topic, process, 0)
        stack.kill("filter-1")
        write_and_wait(records, topic, process, 100)
        stack.start_one("filter-1")
        stack.stop_one("filter-2")
        write_and_wait(records, topic, process, 200)
        assert printed(process) == expected(300)
        assert len(re.findall("serves", process.log())) == 3
    finally:
        process.stop()


def test_a_backend_waits_for_the_replica_that_replaces_its_own(
    make_stack: MakeStack, create_topic: CreateTopic, records: RecordWriter, tmp_path: Path
) -> None:
    """With one replica, what is produced while it is replaced is printed afterwards, in order and once."""
    stack = make_stack()
    topic = create_topic()
    process = subscriber(tmp_path, stack, topic, 1)
    process.start()
    try:
        wait_until(lambda: "serves" in process.log(), "subscription open", WAIT_SEC)
        write_and_wait(records, topic, process, 0)
        stack.kill("filter-1")
        records.write_all(topic, payloads(100, 100))
        stack.start_one("filter-1")
        write_and_wait(records, topic, process, 200)
        assert printed(process) == expected(300)
    finally:
        process.stop()


def test_a_wrong_query_is_told(stack: Stack, tmp_path: Path) -> None:
    """The example ends with the status and the reason, instead of trying for ever."""
    process = subscriber(tmp_path, stack, "admin.t", 1)
    process.command[process.command.index("--where") + 1] = "even=above:1;"
    process.start()
    assert process.wait(WAIT_SEC) == 1
    assert process.log() == "INVALID_ARGUMENT: 4001 invalid operator 'above'\n"


def test_the_page_shows_the_example() -> None:
    """The block of code in README.md stands in the example like that."""
    (shown,) = blocks("python", section("The gRPC API", text_of()))
    assert shown in (ROOT / "examples/subscribe.py").read_text()
