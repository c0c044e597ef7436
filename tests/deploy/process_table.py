"""What runs on this machine, for tests that must not overlook a process. Linux only (`/proc`)."""

import secrets
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "LOCAL_RUN_TEST_MARK"
"""Environment variable by which everything that a test has caused is found, whoever its parent is by now."""


def new_mark() -> str:
    """A value for `VARIABLE` that no other process has."""
    return secrets.token_hex(16)


def marked_processes(mark: str) -> dict[int, str]:
    """Pid -> command line of the running processes whose environment holds the mark.

    Valkey is not among them: it writes its title over its environment.
    """
    wanted = f"{VARIABLE}={mark}".encode()
    return {
        pid: _read(pid, "cmdline").decode("utf-8", "replace").replace("\0", " ")
        for pid in _pids()
        if wanted in _read(pid, "environ").split(b"\0")
    }


def children(parent: int) -> set[int]:
    """Pids of the processes that a process has started itself and that still run."""
    wanted = f"PPid:\t{parent}\n".encode()
    return {pid for pid in _pids() if wanted in _read(pid, "status")}


def environment_of(pid: int) -> dict[str, str]:
    """The environment that a process was started with."""
    entries = _read(pid, "environ").decode().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def _pids() -> Iterator[int]:
    return (int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit())


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""  # it has ended, or is another user's
