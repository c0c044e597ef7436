"""The supervisor with real processes: small Python programs that behave well or badly."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local import supervisor
from deploy.local.errors import PartFailedError
from deploy.local.part import Backoff, Layer, Part
from deploy.local.settings import REPOSITORY, python_environment
from deploy.local.status_file import StatusFile
from deploy.local.supervisor import Supervisor
from deploy.local.table import Row
from tests.deploy.process_table import VARIABLE, marked_processes, new_mark
from tests.processes import wait_until

WAIT_SEC = 30.0

READY = "from deploy.local.status_file import StatusFile; from pathlib import Path; import signal, sys, time\n"
READY += "StatusFile(Path(sys.argv[1])).write(sys.argv[2] if len(sys.argv) > 2 else '-')\n"
SLEEP = "print('at work', flush=True); time.sleep(600)\n"


class Watched:
    """A supervisor, and what it has told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sentences: list[str] = []
        self.new_rows: list[Row] = []
        self._told = asyncio.Event()
        self.supervisor = Supervisor(
            folder, self._on_sentence, self._on_row, stop_timeout=2, backoff=lambda: Backoff(initial=0.01)
        )

    def _on_sentence(self, sentence: str) -> None:
        self.sentences.append(sentence)
        self._told.set()

    def _on_row(self, row: Row) -> None:
        self.new_rows.append(row)
        self._told.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until something has been told that makes the condition true."""
        async with asyncio.timeout(WAIT_SEC):
            while not condition():
                self._told.clear()
                await self._told.wait()

    def part(
        self, name: str, program: str, layer: Layer = Layer.STORES, address: str = "-", follows: Sequence[str] = ()
    ) -> Part:
        """A part that runs a Python program, which is ready when it has written its status file."""
        status = StatusFile(self.folder / f"{name}.status")
        return Part(
            name=name,
            layer=layer,
            command=(sys.executable, "-c", program, status.path, address),
            environment=lambda: python_environment(os.environ),
            address=status.address,
            is_ready=status.is_ready,
            follows=follows,
        )


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    watched = Watched(tmp_path)
    yield watched
    await watched.supervisor.stop()


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_started_parts_are_ready_and_listed(watched: Watched) -> None:
    """After `start` every part runs, says so itself, and has a row with its pid."""
    await watched.supervisor.start([watched.part("one", READY + SLEEP), watched.part("two", READY + SLEEP)])
    rows = watched.supervisor.rows()
    assert [row.name for row in rows] == ["one", "two"]
    assert all(runs(row.pid) for row in rows)
    assert watched.sentences == []


async def test_a_killed_part_is_told_by_name_and_started_again_at_its_address(watched: Watched) -> None:
    """A crash is reported with the part's name and pid, and the part comes back with a row of its own."""
    await watched.supervisor.start([watched.part("filter-1", READY + SLEEP, address="127.0.0.1:1234")])
    (first,) = watched.supervisor.rows()
    os.kill(first.pid, signal.SIGKILL)
    await watched.until(lambda: bool(watched.new_rows))
    assert watched.sentences == [f"filter-1 (pid {first.pid}) was killed by signal 9; restarting at 127.0.0.1:1234"]
    (second,) = watched.new_rows
    assert (second.name, second.address) == ("filter-1", "127.0.0.1:1234")
    assert second.pid != first.pid
    assert runs(second.pid)


async def test_a_part_that_never_becomes_ready_is_given_up_with_the_end_of_its_log(watched: Watched) -> None:
    """A part that fails at start again and again ends the run, and its last words are shown."""
    with pytest.raises(PartFailedError) as failure:
        await watched.supervisor.start([watched.part("edge-1", "import sys; print('no such file'); sys.exit(3)")])
    text = str(failure.value)
    assert text.startswith("edge-1 (pid ")
    assert "exited with code 3 before it was ready, 3 times in a row" in text
    assert text.endswith("  no such file")
    assert len(watched.sentences) == 2


async def test_wrong_settings_are_not_tried_again(watched: Watched) -> None:
    """A service that refuses its settings (exit status 78) is given up at once, with its sentence."""
    with pytest.raises(PartFailedError, match="cannot run with these settings") as failure:
        await watched.supervisor.start([watched.part("edge-1", "import sys; sys.exit('X: is wrong.' and 78)")])
    assert failure.value.name == "edge-1"
    assert watched.sentences == []


async def test_a_part_that_fails_only_later_ends_the_run_too(watched: Watched) -> None:
    """When a part does not come back after a crash, the one who waits is told which."""
    once = (
        "from pathlib import Path; import sys; m = Path(sys.argv[1] + '.once'); m.exists() and sys.exit(5); m.touch()\n"
    )
    await watched.supervisor.start([watched.part("valkey", once + READY + SLEEP)])
    os.kill(watched.supervisor.rows()[0].pid, signal.SIGKILL)
    async with asyncio.timeout(WAIT_SEC):
        failure = await watched.supervisor.failed()
    assert failure.name == "valkey"
    assert "exited with code 5" in failure.problem


async def test_a_part_that_waits_in_vain_is_told_with_what_it_waits_for(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a service does not become ready because its Kafka or Redis is away, the sentence names that."""
    monkeypatch.setattr(supervisor, "START_TIMEOUT_SEC", 0.0)
    monkeypatch.setattr(supervisor, "START_TIMEOUT_PER_PART_SEC", 0.5)
    never = replace(watched.part("filter-1", "import time\n" + SLEEP), waits_for="Kafka at 10.1.2.3:9092")
    with pytest.raises(PartFailedError) as failure:
        await watched.supervisor.start([never])
    assert str(failure.value).startswith("filter-1 is not ready after 0.5 s: it waits for Kafka at 10.1.2.3:9092; ")


async def test_parts_stop_in_the_order_of_their_layers(watched: Watched, tmp_path: Path) -> None:
    """Edges go before filters, those before the ticket service, and Kafka and Redis last."""
    order = tmp_path / "order"
    say_goodbye = (
        f"def bye(*_):\n with open({str(order)!r}, 'a') as file: file.write(sys.argv[2] + ' ')\n sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, bye)\n"
    )
    layers = (Layer.TICKET_SERVICE, Layer.STORES, Layer.EDGES, Layer.FILTERS)
    parts = [
        watched.part(layer.name, "import signal, sys\n" + say_goodbye + READY + SLEEP, layer, layer.name)
        for layer in layers
    ]
    await watched.supervisor.start(parts)
    await watched.supervisor.stop()
    assert order.read_text().split() == ["EDGES", "FILTERS", "TICKET_SERVICE", "STORES"]
    assert watched.sentences == []


async def test_a_part_that_does_not_obey_is_killed(watched: Watched) -> None:
    """Nothing is left behind by a part that ignores SIGTERM, and it is named."""
    deaf = READY.replace("StatusFile(", "signal.signal(signal.SIGTERM, signal.SIG_IGN); StatusFile(") + SLEEP
    await watched.supervisor.start([watched.part("deaf", deaf)])
    (row,) = watched.supervisor.rows()
    await watched.supervisor.stop()
    assert not runs(row.pid)
    assert watched.sentences == [f"deaf (pid {row.pid}) did not end within 2 s; killing it"]


async def test_a_paused_part_stops_like_any_other(watched: Watched) -> None:
    """A part that somebody has stopped with SIGSTOP needs not be killed."""
    await watched.supervisor.start([watched.part("paused", READY + SLEEP)])
    (row,) = watched.supervisor.rows()
    os.kill(row.pid, signal.SIGSTOP)
    await watched.supervisor.stop()
    assert not runs(row.pid)
    assert watched.sentences == []


async def test_followers_of_a_part_that_moved_are_restarted(watched: Watched) -> None:
    """When a crashed broker returns at another address, what is connected to it is started anew, and told why."""
    moving = READY.replace("sys.argv[2] if len(sys.argv) > 2 else '-'", "f'127.0.0.1:{__import__(\"os\").getpid()}'")
    await watched.supervisor.start([replace(watched.part("kafka", moving + SLEEP), keeps_address=False)])
    await watched.supervisor.start(
        [watched.part("filter-1", READY + SLEEP, follows=["kafka"]), watched.part("edge-1", READY + SLEEP)]
    )
    kafka, follower, other = watched.supervisor.rows()
    os.kill(kafka.pid, signal.SIGKILL)
    await watched.until(lambda: len(watched.new_rows) == 2)
    new_kafka, new_follower = watched.new_rows
    assert (new_kafka.name, new_follower.name) == ("kafka", "filter-1")
    assert new_kafka.address == f"127.0.0.1:{new_kafka.pid}"
    assert watched.sentences == [
        f"kafka (pid {kafka.pid}) was killed by signal 9; restarting",
        f"filter-1 (pid {follower.pid}) is restarted, because kafka is now at {new_kafka.address}",
    ]
    assert runs(other.pid)


async def test_a_program_that_does_not_exist_is_a_failed_start(watched: Watched) -> None:
    """A missing program is told like any other failure, with its name."""
    part = watched.part("valkey", "")
    absent = Part(part.name, part.layer, ("no-such-program",), part.environment, part.address, part.is_ready)
    with pytest.raises(PartFailedError, match="cannot execute no-such-program: No such file or directory"):
        await watched.supervisor.start([absent])


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_parts_die_with_a_launcher_that_was_killed(tmp_path: Path) -> None:
    """Even SIGKILL for the launcher leaves none of its parts behind."""
    mark = new_mark()
    launcher = f"""
import asyncio, sys
from pathlib import Path
from tests.deploy.test_supervisor import READY, SLEEP, Watched

async def main():
    watched = Watched(Path({str(tmp_path)!r}))
    await watched.supervisor.start([watched.part(name, READY + SLEEP) for name in ("one", "two")])
    print("ready", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""
    process = subprocess.Popen(
        [sys.executable, "-c", launcher],
        cwd=REPOSITORY,
        env=python_environment({**os.environ, VARIABLE: mark}),
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert len(marked_processes(mark)) == 3
        process.kill()
        process.wait()
    wait_until(lambda: not marked_processes(mark), "no part is left", WAIT_SEC)
