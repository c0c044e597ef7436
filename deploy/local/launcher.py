"""Runs the whole system on this machine until Ctrl-C, and tells the person at the terminal about it.

`main` is what `make run` executes (through `run.py`). `local_system` says which parts there are, `supervisor` keeps
them running.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

from deploy.local import run_file, run_folder
from deploy.local.end_of_make import end_of_make
from deploy.local.errors import LocalRunError
from deploy.local.local_system import LocalSystem
from deploy.local.settings import read_settings
from deploy.local.supervisor import Supervisor
from deploy.local.warnings_shown import show_warnings
from runtime.settings import ConfigurationError, ServiceSettings, load
from runtime.tls import channel_credentials

STOP_MARGIN_SEC = 5.0
"""Seconds after the services' own grace period before one that still runs is killed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until SIGINT, SIGTERM or SIGHUP.

    Args:
        arguments: of the command line; None: those of the process.

    Returns:
        The exit code: 0 when it was stopped, 1 when it cannot run (78 when a setting of every service is wrong, as
        the services themselves).
    """
    parser = argparse.ArgumentParser(prog="run", description="Runs the whole system on this machine until Ctrl-C.")
    parser.add_argument("--by-make", action="store_true", help="stop when the parent process ends or is interrupted")
    by_make = parser.parse_args(arguments).by_make
    try:
        settings, credentials = read_settings(), channel_credentials(load(ServiceSettings))
        system = LocalSystem(settings, run_folder.create(), credentials)
        asyncio.run(_run(system, by_make))
    except (LocalRunError, ConfigurationError) as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    return 0


async def _run(system: LocalSystem, by_make: bool) -> None:
    grace_sec = system.settings.grace_sec + STOP_MARGIN_SEC
    supervisor = Supervisor(system.run_folder, _say, lambda row: _say(str(row)), grace_sec)
    stop = _stop_signal(supervisor)
    running = asyncio.create_task(_start_and_watch(system, supervisor))
    stopping: list[asyncio.Task[object]] = [asyncio.create_task(stop.wait())]
    if by_make:
        stopping.append(asyncio.create_task(end_of_make()))
    try:
        await asyncio.wait((running, *stopping), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
        elif not stop.is_set():
            _say("make has ended or was interrupted; stopping")
    finally:
        running.cancel()
        for task in stopping:
            task.cancel()
        await supervisor.stop()
        with suppress(asyncio.CancelledError, LocalRunError):
            await running


async def _start_and_watch(system: LocalSystem, supervisor: Supervisor) -> None:
    """Starts everything, announces it, and stays until a part is given up, which it raises."""
    published = None
    warnings = asyncio.create_task(show_warnings(supervisor.logs, _say))
    try:
        for parts in system.in_order():
            await supervisor.start(parts)
        published = run_file.publish(run_file.LocalRun(system.url, system.token, system.topic, os.getpid()))
        _say(str(system.announcement(supervisor.rows())))
        raise await supervisor.failed()
    finally:
        warnings.cancel()
        if published is not None:
            published.unlink(missing_ok=True)


def _stop_signal(supervisor: Supervisor) -> asyncio.Event:
    """An event that the first signal sets; the second one kills all parts, for whoever does not want to wait."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            supervisor.kill()
        else:
            _say("stopping")
            stop.set()

    # SIGINT also when it is ignored, as in what a script runs behind: whoever sends it wants an end.
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup sets it
        loop.add_signal_handler(signal.SIGHUP, on_signal)
    return stop


def _say(text: str) -> None:
    try:
        print(text, flush=True)
    except OSError:
        # The terminal, or the program that was reading, is gone. The parts still have to run, and to be stopped.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
