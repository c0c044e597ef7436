"""How a part without a port of its own choice says where it serves: a small file, written when it is ready.

Written by the processes of `local_broker` and `demo_producer`, read by the launcher. The pid in it tells the present
process from an earlier one.
"""

import json
import os
from pathlib import Path

NO_ADDRESS = "-"
"""Stands for the address of a part that listens nowhere."""


class StatusFile:
    """One part's status file.

    Args:
        path: its place; the folder exists.
    """

    def __init__(self, path: Path) -> None:
        """Creates nothing yet."""
        self._path = path

    @property
    def path(self) -> str:
        """Its place, for a command line."""
        return str(self._path)

    def write(self, address: str) -> None:
        """Says that this process is ready at `address` (`host:port` or `NO_ADDRESS`). Atomic."""
        draft = self._path.with_suffix(".draft")
        draft.write_text(json.dumps({"pid": os.getpid(), "address": address}), encoding="utf-8")
        draft.replace(self._path)

    def address(self) -> str:
        """The address last written; `NO_ADDRESS` when there is none."""
        return str(self._read().get("address", NO_ADDRESS))

    async def is_ready(self, pid: int) -> bool:
        """Whether the process with this pid has written the file."""
        return self._read().get("pid") == pid

    def _read(self) -> dict[str, object]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return dict(content)
