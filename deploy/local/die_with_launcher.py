"""Runs a program that ends when the launcher does, however that ended (SIGKILL included).

Executed by `supervisor` in front of every part's command: `die_with_launcher.py LAUNCHER_PID COMMAND...`. The process
becomes the command (exec), so its pid, name and exit status are the command's own.

Linux kills a process on its parent's death when asked to (PR_SET_PDEATHSIG, kept over exec). Elsewhere a forked watcher
looks whether the launcher is still the parent.
"""

import ctypes
import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>, the same on every architecture."""
WATCH_INTERVAL_SEC = 0.5
COMMAND_NOT_FOUND = 127
"""Exit status of a shell for a command it cannot execute."""


def die_with_parent_on_linux() -> None:
    """Has the kernel kill this process when its parent dies.

    SIGKILL, because nothing must stay behind, and no part has a state that is worth more than that.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def watch_from_a_fork(launcher: int) -> None:
    """Leaves a child behind that kills this process when the launcher has died, and ends with this process."""
    command = os.getpid()
    if os.fork() != 0:
        return
    while os.getppid() == command:
        try:
            os.kill(launcher, 0)
        except ProcessLookupError:
            os.kill(command, signal.SIGKILL)
            break
        time.sleep(WATCH_INTERVAL_SEC)
    os._exit(0)


def main(arguments: list[str]) -> int:
    """Becomes the command. Returns only when that is impossible."""
    launcher, command = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        die_with_parent_on_linux()
    else:
        watch_from_a_fork(launcher)
    if os.getppid() != launcher:
        return 1  # it died before we asked to be told
    try:
        os.execvp(command[0], command)  # noqa: S606 - the launcher's own command lines, no shell wanted
    except OSError as error:
        print(f"cannot execute {command[0]}: {error.strerror}", file=sys.stderr)
        return COMMAND_NOT_FOUND


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
