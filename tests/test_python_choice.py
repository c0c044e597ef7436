"""Which Python the Makefile makes its virtual environment of, with a real make."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.settings import REPOSITORY
from tests.deploy.local_run import shell_environment

TIMEOUT_SEC = 120.0
DISTRIBUTIONS = Path("/usr/bin/python3")
IS_FIT = "import sys, ensurepip; sys.exit(sys.version_info < (3, 11))"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a Makefile and nothing else."""
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    return tmp_path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Has the virtual environment be made."""
    return subprocess.run(
        ["make", *arguments, ".venv/bin/python"],
        cwd=folder,
        env=shell_environment({}),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SEC,
        check=False,
    )


def base_of(folder: Path) -> Path:
    """What a virtual environment's Python was made of."""
    return (folder / ".venv/bin/python").resolve()


def test_a_distributions_python_comes_first(folder: Path) -> None:
    """It is the quicker one; another is taken where it is missing, too old, or cannot make virtual environments."""
    is_fit = DISTRIBUTIONS.exists() and not subprocess.run([DISTRIBUTIONS, "-c", IS_FIT], check=False).returncode
    done = make(folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert (base_of(folder) == DISTRIBUTIONS.resolve()) == is_fit


def test_the_python_that_is_named_is_taken(folder: Path) -> None:
    """Whatever else there is."""
    named = folder / "named"
    named.symlink_to(Path(sys.executable).resolve())
    assert make(folder, f"PYTHON={named}").returncode == 0
    assert base_of(folder) == Path(sys.executable).resolve()


def test_a_named_python_that_will_not_do_is_told(folder: Path) -> None:
    """Nobody asked for another one."""
    named = folder / "old"
    named.write_text("#!/bin/sh\nexit 1\n")
    named.chmod(0o755)
    refused = make(folder, f"PYTHON={named}")
    assert refused.returncode == 2
    assert f"none of {named} is one: install it" in refused.stderr
    assert not (folder / ".venv").exists()
