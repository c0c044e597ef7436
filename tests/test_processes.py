"""Server processes of the tests never outlive the run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import Process, wait_until


def exists(pid: int) -> bool:
    """Whether a process with this id runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Where nobody reaps orphans (a container without an init), what has ended stays as a zombie, state `Z`.
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:  # no Linux, or gone just now
        return not Path("/proc/self").exists()
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_servers_end_with_the_run(number: signal.Signals, tmp_path: Path) -> None:
    """However a test run ends, the servers it started end too, even one that is paused."""
    program = f"""
import signal, sys, time
from pathlib import Path
from tests.processes import Process
# A shell's background jobs ignore SIGINT, and so does what they start: this one must not.
signal.signal(signal.SIGINT, signal.default_int_handler)
servers = [Process(name, ["sleep", "600"], log_path=Path({str(tmp_path)!r}, name)) for name in ("running", "paused")]
for server in servers:
    server.start()
servers[1].signal(signal.SIGSTOP)
print(*(server.pid for server in servers), flush=True)
time.sleep(600)
"""
    root = Path(__file__).parents[1]
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=root) as run:
        assert run.stdout is not None
        pids = [int(pid) for pid in run.stdout.readline().split()]
        assert len(pids) == 2
        assert all(exists(pid) for pid in pids)
        run.send_signal(number)
        wait_until(lambda: not any(exists(pid) for pid in pids), "servers gone", timeout_sec=20)


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """`stop` returns within its bound whatever the process does."""
    program = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    process = Process("stubborn", [sys.executable, "-c", program], log_path=tmp_path / "log")
    process.start()
    process.wait_ready(lambda: "up" in process.log(), timeout_sec=20)
    assert process.stop(grace_sec=0.5) == -signal.SIGKILL
