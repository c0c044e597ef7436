"""Server processes of the tests: started with their output in a file, stopped within a bound, never left over.

Used by every fixture that runs a real server (Kafka, Valkey, the three tiers) and by the benchmarks, from any thread.
Each process is a session of its own, so Ctrl-C reaches only the test run, which then stops its servers in order;
:mod:`tests.reaper` ends them when the run cannot do that any more.
"""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

STOP_GRACE_SEC = 15.0
"""How long a process may take from SIGTERM to its end before it is killed: the services' own bound is 10 s."""

_PORTS = range(15_000, 32_000)
"""Ports that tests listen on: below Linux' range for outgoing connections (32768 and up), so that nobody takes the
port of a server while it is restarted."""

_ports_given: set[int] = set()
_processes: "weakref.WeakSet[Process]" = weakref.WeakSet()
_lock = threading.Lock()
_reaper: subprocess.Popen[str] | None = None


class ProcessFailedError(AssertionError):
    """A server ended, or did not become ready. The text holds the end of its log."""


def free_port() -> int:
    """A TCP port that nothing on this machine listens on and that no other caller in this process was given."""
    with _lock:
        while True:
            port = random.choice(_PORTS)
            if port in _ports_given:
                continue
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            _ports_given.add(port)
            return port


def wait_until(condition: Callable[[], object], what: str, timeout_sec: float, pause_sec: float = 0.05) -> None:
    """Call `condition` until it returns something true.

    :param what: names the awaited state in the error text.
    :raises TimeoutError: after `timeout_sec` seconds.
    """
    deadline = time.monotonic() + timeout_sec
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_sec:g} s")
        time.sleep(pause_sec)


def _tell_reaper(message: str) -> None:
    """Pass one line to the reaper, which is started with the first one."""
    global _reaper
    with _lock:
        if _reaper is None:
            _reaper = subprocess.Popen(
                [sys.executable, "-S", str(Path(__file__).with_name("reaper.py"))],
                stdin=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        assert _reaper.stdin is not None
        _reaper.stdin.write(message + "\n")
        _reaper.stdin.flush()


class Process:
    """One server process; may be started again after it ended.

    :param name: what the logs and errors call it.
    :param command: program and arguments.
    :param log_path: file that standard output and error are appended to.
    :param env: the whole environment; None: that of the test run.
    :param cwd: working directory; None: that of the test run.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log_path = log_path
        self.env = None if env is None else dict(env)
        self.cwd = cwd
        self._popen: subprocess.Popen[bytes] | None = None
        self._log_mark = 0
        self._run_start = 0
        _processes.add(self)

    def start(self) -> None:
        """Start it; returns at once."""
        assert not self.running, f"{self.name} is running"
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._run_start = log.tell()
            self._popen = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.env,
                cwd=self.cwd,
                start_new_session=True,
            )
        _tell_reaper(f"+{self._popen.pid}")

    @property
    def pid(self) -> int:
        """Process id of the latest start."""
        assert self._popen is not None, f"{self.name} was never started"
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        """What it ended with (negative: minus the signal's number); None while it runs."""
        return None if self._popen is None else self._popen.poll()

    def wait(self, timeout_sec: float = STOP_GRACE_SEC) -> int:
        """Wait for its end and return the exit code.

        :raises subprocess.TimeoutExpired: when it still runs after `timeout_sec` seconds.
        """
        assert self._popen is not None, f"{self.name} was never started"
        code = self._popen.wait(timeout_sec)
        _tell_reaper(f"-{self._popen.pid}")
        return code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; SIGSTOP and SIGCONT pause and resume it."""
        assert self._popen is not None, f"{self.name} was never started"
        self._popen.send_signal(number)

    def begin_stop(self) -> None:
        """SIGTERM (which wakes it when it is paused), and return at once."""
        if self._popen is not None and self.running:
            self._popen.terminate()
            self._popen.send_signal(signal.SIGCONT)

    def stop(self, grace_sec: float = STOP_GRACE_SEC) -> int | None:
        """SIGTERM, then SIGKILL when it still runs after `grace_sec` seconds; returns the exit code.

        Does nothing, and returns None, when it was never started.
        """
        self.begin_stop()
        return self.wait_or_kill(grace_sec)

    def wait_or_kill(self, grace_sec: float = STOP_GRACE_SEC) -> int | None:
        """Wait for the end that was asked for; SIGKILL when it still runs after `grace_sec` seconds."""
        if self._popen is None:
            return None
        try:
            return self.wait(grace_sec)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            return self.wait()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        assert self._popen is not None, f"{self.name} was never started"
        self._popen.kill()
        self.wait()

    def log(self) -> str:
        """Everything it has written, all starts included."""
        return self._read_log(0)

    def log_of_this_run(self) -> str:
        """What it has written since its latest start."""
        return self._read_log(self._run_start)

    def mark_log(self) -> None:
        """Remember the end of the log for :meth:`log_since_mark`."""
        self._log_mark = self.log_path.stat().st_size if self.log_path.exists() else 0

    def log_since_mark(self) -> str:
        """What it has written since :meth:`mark_log`."""
        return self._read_log(self._log_mark)

    def _read_log(self, offset: int) -> str:
        if not self.log_path.exists():
            return ""
        log: IO[bytes]
        with self.log_path.open("rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace")

    def wait_ready(self, is_ready: Callable[[], object], timeout_sec: float) -> None:
        """Wait until `is_ready()` is true.

        :raises ProcessFailedError: when the process ends before, or is not ready after `timeout_sec` seconds.
        """

        def ready_or_ended() -> bool:
            if not self.running:
                raise ProcessFailedError(f"{self.name} ended with {self.exit_code}:\n{tail(self.log_of_this_run())}")
            return bool(is_ready())

        try:
            wait_until(ready_or_ended, f"{self.name} ready", timeout_sec)
        except TimeoutError as error:
            raise ProcessFailedError(f"{error}:\n{tail(self.log_of_this_run())}") from None


def known_processes() -> list[Process]:
    """Every :class:`Process` that somebody still holds, in the order of names."""
    return sorted(_processes, key=lambda process: process.name)


def tail(text: str, lines: int = 60) -> str:
    """The last lines of a log."""
    return "\n".join(text.splitlines()[-lines:])


def accepts_connections(port: int) -> bool:
    """Whether something on 127.0.0.1 accepts TCP connections at `port`."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def inherited_environment(overrides: Mapping[str, str]) -> dict[str, str]:
    """The test run's environment without any `KAFKA_WS_*` variable of the developer, plus `overrides`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("KAFKA_WS_")}
    return {**inherited, **overrides}
