"""The launcher's look at the make that runs it, with a real make."""

import os
import signal
import sys
from pathlib import Path

import pytest

from deploy.local.settings import REPOSITORY
from tests.deploy.local_run import TIMEOUT_SEC, shell_environment
from tests.processes import Process, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows what another process catches")

PROGRAM = """
import asyncio
from deploy.local.end_of_make import end_of_make

async def main():
    looking = asyncio.create_task(end_of_make())
    await asyncio.sleep(0)
    print("looking", flush=True)
    await looking
    print("noticed", flush=True)

asyncio.run(main())
"""


@pytest.fixture
def make(tmp_path: Path) -> Process:
    """A make, started, whose only child is looking at it."""
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "Makefile").write_text(f"run:\n\t@exec {sys.executable} program.py\n")
    environment = shell_environment({"PYTHONPATH": str(REPOSITORY)})
    make = Process("make", ["make"], log_path=tmp_path / "log", env=environment, cwd=tmp_path)
    make.start()
    wait_until(lambda: make.log() == "looking\n", "the child is looking", TIMEOUT_SEC)
    return make


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_what_happens_to_make_alone_is_noticed(make: Process, number: signal.Signals) -> None:
    """A program that kills or interrupts make, and knows nothing of its children, ends the local run all the same."""
    os.kill(make.pid, number)
    wait_until(lambda: "noticed\n" in make.log(), "the child has noticed", TIMEOUT_SEC)
    assert make.wait(TIMEOUT_SEC) == -number
