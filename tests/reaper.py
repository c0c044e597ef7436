"""Ends the servers of a test run when the run itself is gone, however it went (Ctrl-C, SIGTERM, SIGKILL, a crash).

Run as a script by :mod:`tests.processes`, once per run, in a session of its own. Its standard input is a pipe from the
run: a line ``+<pid>`` puts a process under its care, ``-<pid>`` releases it. End of file means that the run is over:
what is still listed gets SIGTERM, and SIGKILL after a grace period. Imports nothing of the project.
"""

import os
import signal
import sys
import time

_GRACE_SEC = 5.0
"""Time for a server to stop by itself; the run has ended, so nobody waits for its work."""


def _signal_all(pids: set[int], number: int) -> set[int]:
    """Send a signal to every process; return those that still exist."""
    alive = set()
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
        alive.add(pid)
    return alive


def main() -> None:
    """Follow the list on standard input to its end, then end what is left of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pids: set[int] = set()
    for line in sys.stdin:
        if line.startswith("+"):
            pids.add(int(line[1:]))
        else:
            pids.discard(int(line[1:]))
    pids = _signal_all(pids, signal.SIGTERM)
    # A paused process (SIGSTOP) would not see SIGTERM.
    pids = _signal_all(pids, signal.SIGCONT)
    deadline = time.monotonic() + _GRACE_SEC
    while pids and time.monotonic() < deadline:
        time.sleep(0.1)
        pids = _signal_all(pids, 0)
    _signal_all(pids, signal.SIGKILL)


if __name__ == "__main__":
    main()
