"""Notices that the `make` which runs the launcher has ended, or waits for it to end.

Used by `launcher`, on its event loop. Ctrl-C at a terminal, and SIGTERM for make, reach the launcher by themselves, but
not what other programs do to make alone: SIGKILL leaves its children behind, and at SIGINT it waits for them, for ever
(a terminal would have told them too).
"""

import asyncio
import os
import signal
from pathlib import Path

LOOK_INTERVAL_SEC = 0.3


async def end_of_make() -> None:
    """Returns when this process' parent has ended or has been interrupted."""
    make = os.getppid()
    caught = _catches(make, signal.SIGINT)
    # Nothing tells a process of this, it has to look.
    while os.getppid() == make and not (caught and not _catches(make, signal.SIGINT)):  # noqa: ASYNC110
        await asyncio.sleep(LOOK_INTERVAL_SEC)


def _catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal; False where nobody can tell.

    GNU make takes its handler away when it has been interrupted, before it waits for its children.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return bool(int(fields.get("SigCgt", "0"), 16) >> (number - 1) & 1)
