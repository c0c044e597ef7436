"""What the shared fixtures do when a test fails, and where something is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import MakeTopicName

ROOT = Path(__file__).resolve().parents[1]


def run_pytest(source: str, folder: Path, **environment: str) -> str:
    """The report of a run of its own over one test file, with this project's fixtures."""
    file = folder / "test_inner.py"
    file.write_text(source)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-c", "pyproject.toml"]
    env = {name: value for name, value in os.environ.items() if name != "CI"} | environment
    command += ["--rootdir", str(folder), "-q", str(file)]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False).stdout


USES_KAFKA = """
def test_one(kafka): pass
def test_two(kafka): pass
"""


def test_without_java_tests_of_kafka_are_skipped(tmp_path: Path) -> None:
    """One line for each of them says what to install."""
    lines = run_pytest(USES_KAFKA, tmp_path, PATH="/nowhere").splitlines()
    assert len([line for line in lines if "install Java 17" in line]) == 2
    assert "2 skipped" in lines[-1]


def test_without_maven_tests_of_kafka_are_skipped(tmp_path: Path) -> None:
    """The line names Maven, when it is Maven that is missing and the jars are not there yet."""
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    program.write_text("""#!/bin/sh\necho 'openjdk version "21.0.1" 2023-10-17' >&2\n""")
    program.chmod(0o755)
    source = f"""
from pathlib import Path
from tests.kafka import jars
jars._CACHE = Path({str(tmp_path)!r})
{USES_KAFKA}"""
    lines = run_pytest(source, tmp_path, PATH=str(program.parent)).splitlines()
    assert len([line for line in lines if "install Maven" in line]) == 2


@pytest.mark.parametrize(("fixture", "to_install"), [("browser", "apt-get install chromium"), ("node", "Node.js")])
def test_without_a_program_its_tests_are_skipped(fixture: str, to_install: str, tmp_path: Path) -> None:
    """One line says what to install; with `CI=true` it is a failure that says so."""
    source = f"def test_one({fixture}): pass"
    report = run_pytest(source, tmp_path, PATH="/nowhere")
    assert to_install in report
    assert "1 skipped" in report.splitlines()[-1]
    report = run_pytest(source, tmp_path, PATH="/nowhere", CI="true")
    assert to_install in report
    assert "1 error" in report.splitlines()[-1]


def test_in_ci_nothing_is_skipped(tmp_path: Path) -> None:
    """With `CI=true` a missing Java is a failure that says what to install."""
    report = run_pytest(USES_KAFKA, tmp_path, PATH="/nowhere", CI="true")
    assert "install Java" in report
    assert "2 errors" in report.splitlines()[-1]


@pytest.mark.parametrize(("outcome", "shown"), [("assert False", True), ("pass", False)])
def test_logs_of_servers_are_shown_with_a_failure(outcome: str, shown: bool, tmp_path: Path) -> None:
    """What a server has written during a failed test is in the report, and only then."""
    source = f"""
from pathlib import Path
from tests.processes import Process

def test_it(tmp_path):
    server = Process("a-server", ["sh", "-c", "echo something went wrong; exec sleep 60"], log_path=tmp_path / "log")
    server.start()
    server.wait_ready(lambda: "wrong" in server.log(), 20)
    {outcome}
"""
    report = run_pytest(source, tmp_path)
    assert ("log of a-server" in report and "something went wrong" in report) is shown


def test_topic_names_are_unique(topic: MakeTopicName) -> None:
    """Two names of one tenant differ, and begin with the tenant and a dot."""
    first, second = topic("acme"), topic("acme")
    assert first != second
    assert first.startswith("acme.")
    assert second.startswith("acme.")
