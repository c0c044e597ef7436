"""Starts parts, keeps them running, stops them in order.

Used by `launcher`, on its event loop in the main thread (it handles SIGCHLD). Every part has one task that starts it,
waits until it is ready and until it ends, and starts it again; whatever happens is told in sentences through `report`.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy.local.errors import PartFailedError
from deploy.local.part import Backoff, Part, describe_exit
from deploy.local.part_log import PartLog
from deploy.local.table import Row

EX_CONFIG = 78
"""Exit status of a service that is configured wrongly (`runtime.settings`): another attempt would not help."""
FAILED_STARTS_LIMIT = 3
"""A part that ends this often in a row before it is ready is given up."""
START_TIMEOUT_SEC = 30.0
"""How long parts may take to become ready when the run begins. Later it may take any time: what they wait for (Kafka,
Redis) may be away."""
START_TIMEOUT_PER_PART_SEC = 2.0
"""And this for each part that starts at the same time, since they share the machine."""
_PROBE_PAUSE_SEC = 0.1
_WRAPPER = Path(__file__).with_name("die_with_launcher.py")


class _Process:
    """One execution of a part."""

    def __init__(self, part: Part, log: PartLog) -> None:
        command = [sys.executable, "-I", "-S", str(_WRAPPER), str(os.getpid()), *part.command]
        with log.open() as output:
            # A session of its own: Ctrl-C at the terminal reaches only the launcher, which stops everything in order.
            self._popen = subprocess.Popen(
                command,
                env=dict(part.environment()),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._popen.pid
        self.ended = asyncio.Event()
        self.restart_reason = ""

    @property
    def status(self) -> int:
        """As `subprocess.Popen.returncode`; known when `ended` is set."""
        return self._popen.returncode

    def check(self) -> None:
        """Sets `ended` when the process has ended."""
        if self._popen.poll() is not None:
            self.ended.set()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal, unless the process has ended."""
        self._popen.send_signal(number)


class _Supervised:
    """A part, its present process, and its task."""

    def __init__(self, part: Part, log: PartLog) -> None:
        self.part = part
        self.log = log
        self.process: _Process | None = None
        self.task: asyncio.Task[None] | None = None
        self.first_ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.address = ""

    @property
    def was_ready(self) -> bool:
        return self.first_ready.done()


class Supervisor:
    """Keeps parts running.

    Args:
        run_folder: where the logs go, one file per part, `<name>.log`.
        report: is given one sentence for each thing a person should know.
        on_row: is given the new row of a part that runs again.
        stop_timeout: seconds a part may take to end after SIGTERM, before it is killed.
        backoff: makes the pauses before a part is started again, for each part its own.
    """

    def __init__(
        self,
        run_folder: Path,
        report: Callable[[str], None],
        on_row: Callable[[Row], None],
        stop_timeout: float,
        backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        """Must be created on the main thread's event loop."""
        self._run_folder = run_folder
        self._report = report
        self._on_row = on_row
        self._stop_timeout = stop_timeout
        self._backoff = backoff
        self._parts: dict[str, _Supervised] = {}
        loop = asyncio.get_running_loop()
        self._failure: asyncio.Future[PartFailedError] = loop.create_future()
        self._announced = False
        loop.add_signal_handler(signal.SIGCHLD, self._check_processes)

    async def start(self, parts: Sequence[Part]) -> None:
        """Starts parts side by side and waits until all are ready.

        Raises:
            PartFailedError: one of them, or one that was started before, has been given up.
        """
        started = [_Supervised(part, PartLog(self._run_folder / f"{part.name}.log")) for part in parts]
        for supervised in started:
            self._parts[supervised.part.name] = supervised
            supervised.task = asyncio.create_task(self._keep_running(supervised), name=supervised.part.name)
            supervised.task.add_done_callback(self._on_task_end)
        ready = asyncio.gather(*(supervised.first_ready for supervised in started))
        timeout = START_TIMEOUT_SEC + START_TIMEOUT_PER_PART_SEC * len(started)
        try:
            async with asyncio.timeout(timeout):
                await asyncio.wait((ready, self._failure), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            late = next(supervised for supervised in started if not supervised.was_ready)
            hint = f": it waits for {late.part.waits_for}" if late.part.waits_for else ""
            raise self._failed(late, f"is not ready after {timeout:g} s{hint}") from None
        finally:
            ready.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ready
        if self._failure.done():
            raise self._failure.result()

    async def failed(self) -> PartFailedError:
        """Waits until a part has been given up; says which, and why."""
        return await asyncio.shield(self._failure)

    def rows(self) -> list[Row]:
        """The running processes, in the order in which the parts were given. From now on each new one is reported."""
        self._announced = True
        return [
            Row(supervised.part.name, supervised.address, supervised.process.pid)
            for supervised in self._parts.values()
            if supervised.process is not None
        ]

    def logs(self) -> list[tuple[str, PartLog]]:
        """Each part's name and log."""
        return [(name, supervised.log) for name, supervised in self._parts.items()]

    async def stop(self) -> None:
        """Stops all parts, those of the highest layer first; returns when nothing is left."""
        tasks = [supervised.task for supervised in self._parts.values() if supervised.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for layer in sorted({supervised.part.layer for supervised in self._parts.values()}, reverse=True):
            await asyncio.gather(*(self._end(s) for s in self._parts.values() if s.part.layer == layer))
        asyncio.get_running_loop().remove_signal_handler(signal.SIGCHLD)

    def kill(self) -> None:
        """Kills every process, for a person who does not want to wait for `stop`."""
        for supervised in self._parts.values():
            if supervised.process is not None:
                supervised.process.signal(signal.SIGKILL)

    # ------------------------------------------------------------------------------------------------- one part's life

    async def _keep_running(self, supervised: _Supervised) -> None:
        part, backoff, failed_starts = supervised.part, self._backoff(), 0
        while True:
            process = supervised.process = _Process(part, supervised.log)
            ready_at = await self._until_ready(supervised, process)
            await process.ended.wait()
            if process.restart_reason:
                continue
            how = f"(pid {process.pid}) {describe_exit(process.status)}"
            if ready_at is None:
                failed_starts += 1
                if process.status == EX_CONFIG:
                    return self._give_up(supervised, "cannot run with these settings")
                if failed_starts == FAILED_STARTS_LIMIT:
                    return self._give_up(supervised, f"{how} before it was ready, {failed_starts} times in a row")
                self._report(f"{part.name} {how} before it was ready; starting it again")
            else:
                failed_starts = 0
                place = f" at {supervised.address}" if part.keeps_address and ":" in supervised.address else ""
                self._report(f"{part.name} {how}; restarting{place}")
            await asyncio.sleep(backoff.next_delay(0.0 if ready_at is None else time.monotonic() - ready_at))

    async def _until_ready(self, supervised: _Supervised, process: _Process) -> float | None:
        """Waits until the part is ready, or has ended.

        Returns:
            The time (`time.monotonic`) when it became ready; None when it ended before.
        """
        while not process.ended.is_set():
            if await supervised.part.is_ready(process.pid):
                self._became_ready(supervised, process)
                return time.monotonic()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.ended.wait(), _PROBE_PAUSE_SEC)
        return None

    def _became_ready(self, supervised: _Supervised, process: _Process) -> None:
        name, address = supervised.part.name, supervised.part.address()
        moved = supervised.address not in ("", address)
        supervised.address = address
        if self._announced:
            self._on_row(Row(name, address, process.pid))
        if not supervised.first_ready.done():
            supervised.first_ready.set_result(None)
        if moved:
            for follower in self._parts.values():
                if name in follower.part.follows:
                    self._restart(follower, f"{name} is now at {address}")

    def _restart(self, supervised: _Supervised, reason: str) -> None:
        process = supervised.process
        if process is None or process.ended.is_set():
            return  # it will be started with the new address anyway
        self._report(f"{supervised.part.name} (pid {process.pid}) is restarted, because {reason}")
        process.restart_reason = reason
        process.signal(signal.SIGTERM)

    def _on_task_end(self, task: asyncio.Task[None]) -> None:
        # A fault of ours must not leave a part that nobody looks after.
        if not task.cancelled() and (error := task.exception()) is not None and not self._failure.done():
            self._failure.set_exception(error)

    def _give_up(self, supervised: _Supervised, problem: str) -> None:
        if not self._failure.done():
            self._failure.set_result(self._failed(supervised, problem))

    def _failed(self, supervised: _Supervised, problem: str) -> PartFailedError:
        return PartFailedError(supervised.part.name, problem, supervised.log.path, supervised.log.last_lines())

    async def _end(self, supervised: _Supervised) -> None:
        process = supervised.process
        if process is None or process.ended.is_set():
            return
        process.signal(signal.SIGTERM)
        process.signal(signal.SIGCONT)  # a process that somebody has stopped could not obey
        try:
            await asyncio.wait_for(process.ended.wait(), self._stop_timeout)
        except TimeoutError:
            self._report(
                f"{supervised.part.name} (pid {process.pid}) did not end within {self._stop_timeout:g} s; killing it"
            )
            process.signal(signal.SIGKILL)
            await process.ended.wait()

    def _check_processes(self) -> None:
        for supervised in self._parts.values():
            if supervised.process is not None:
                supervised.process.check()
