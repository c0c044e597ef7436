"""CPU time, memory and cores of the processes under test, from /proc (Linux)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_TICKS_PER_SEC = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used so far, in user and kernel mode, all its threads."""
    return _named_cpu_seconds(Path(f"/proc/{pid}/stat"))[1]


def thread_cpu_seconds(pid: int, name: str) -> float:
    """The same for those threads of a process whose names begin in some way (the kernel keeps 15 letters)."""
    threads = map(_named_cpu_seconds, Path(f"/proc/{pid}/task").glob("*/stat"))
    return sum([seconds for thread, seconds in threads if thread.startswith(name)])


def _named_cpu_seconds(stat: Path) -> tuple[str, float]:
    """Name of a process or thread, and its CPU time."""
    # The name, in brackets, may hold anything; utime and stime are the 14th and 15th field (proc_pid_stat(5)).
    head, _, tail = stat.read_text().rpartition(")")
    fields = tail.split()
    return head.partition("(")[2], (int(fields[11]) + int(fields[12])) / _TICKS_PER_SEC


def resident_bytes(pid: int) -> int:
    """Memory that a process holds (RSS)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def pin(pid: int, core: int) -> None:
    """Keeps all threads of a process, and those that they will start, on one core."""
    # The system call is about a thread, and a thread's affinity is what those that it starts inherit.
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


class CpuMeter:
    """CPU time of several processes since it was made.

    Args:
        pids: process id by name.
    """

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._before = {name: cpu_seconds(pid) for name, pid in self._pids.items()}

    def seconds(self) -> dict[str, float]:
        """CPU seconds by name."""
        return {name: cpu_seconds(pid) - self._before[name] for name, pid in self._pids.items()}
