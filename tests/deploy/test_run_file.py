"""What a run leaves in its folder: the file by which `make tail` finds it, and its logs."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local import run_file, run_folder
from deploy.local.run_file import LocalRun


@pytest.fixture(scope="module")
def ended_pid() -> int:
    """The pid of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def a_run(port: int, pid: int | None = None) -> LocalRun:
    return LocalRun(f"http://127.0.0.1:{port}", f"token-{port}", "admin.sensors", os.getpid() if pid is None else pid)


def publish(run: LocalRun, folder: Path, modified: int) -> None:
    os.utime(run_file.publish(run, folder), (modified, modified))


def test_a_run_is_found_by_its_port(tmp_path: Path) -> None:
    """With several runs, the port says which one is meant."""
    for port in (18081, 18082):
        publish(a_run(port), tmp_path, modified=port)
    assert run_file.find(18081, tmp_path) == a_run(18081)
    assert run_file.find(18083, tmp_path) is None


def test_without_a_port_the_usual_one_is_meant_else_the_latest(tmp_path: Path) -> None:
    """A person who has one run, or one at the usual port, need not say which."""
    assert run_file.find(None, tmp_path / "absent") is None
    publish(a_run(18082), tmp_path, modified=3)
    publish(a_run(18081), tmp_path, modified=2)
    assert run_file.find(None, tmp_path) == a_run(18082)
    publish(a_run(8080), tmp_path, modified=1)
    assert run_file.find(None, tmp_path) == a_run(8080)


def test_a_run_that_was_killed_is_not_found(tmp_path: Path, ended_pid: int) -> None:
    """A file that a killed launcher has left behind misleads nobody, nor does one that is no JSON."""
    publish(a_run(8080, ended_pid), tmp_path, modified=2)
    publish(a_run(18081), tmp_path, modified=1)
    (tmp_path / "18082.json").write_text("{")
    assert run_file.find(None, tmp_path) == a_run(18081)
    assert run_file.find(8080, tmp_path) is None


def test_only_the_owner_can_read_the_token(tmp_path: Path) -> None:
    """The token gives access to all the data of the demo tenant."""
    path = run_file.publish(a_run(8080), tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_logs_stay_until_the_next_run_starts(tmp_path: Path, ended_pid: int) -> None:
    """Logs of ended runs are removed, those of a run that goes on are not."""
    ended, running = tmp_path / f"logs-{ended_pid}", tmp_path / f"logs-{os.getppid()}"
    for folder in (ended, running):
        folder.mkdir()
        (folder / "edge-1.log").touch()
    own = run_folder.create(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([own, running])
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    assert list(own.iterdir()) == []
