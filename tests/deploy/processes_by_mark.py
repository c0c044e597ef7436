"""Finds every process that a test has caused, whoever its parent is by now: by a mark in its environment.

Linux only (`/proc`).
"""

import secrets
from pathlib import Path

VARIABLE = "LOCAL_RUN_TEST_MARK"


def new_mark() -> str:
    """A value for `VARIABLE` that no other process has."""
    return secrets.token_hex(16)


def marked_processes(mark: str) -> dict[int, str]:
    """Pid -> command line of the running processes whose environment holds the mark."""
    wanted = f"{VARIABLE}={mark}".encode()
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
        except (OSError, UnicodeDecodeError):
            continue  # it has ended, or is another user's
    return found
