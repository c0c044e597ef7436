"""Runs the whole system on this machine until Ctrl-C, and tells the person at the terminal about it.

`main` is what `make run` executes (through `run.py`). `local_system` says which parts there are, `supervisor` keeps
them running.
"""

import asyncio
import os
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import grpc

from deploy.local import run_file
from deploy.local.errors import LocalRunError
from deploy.local.local_system import LocalSystem
from deploy.local.settings import LocalRunSettings, read_settings
from deploy.local.supervisor import Supervisor
from deploy.local.warnings_shown import show_warnings
from runtime.settings import ConfigurationError, ServiceSettings, load
from runtime.tls import channel_credentials

STOP_MARGIN_SEC = 5.0
"""Seconds after the services' own grace period before one that still runs is killed."""


def main() -> int:
    """Runs until SIGINT, SIGTERM or SIGHUP.

    Returns:
        The exit code: 0 when it was stopped, 1 when it cannot run (78 when a setting of every service is wrong, as
        the services themselves).
    """
    try:
        return _run_in_folder(read_settings(), channel_credentials(load(ServiceSettings)))
    except (LocalRunError, ConfigurationError) as error:
        print(error, file=sys.stderr, flush=True)
        return 1


def _run_in_folder(settings: LocalRunSettings, credentials: grpc.ChannelCredentials | None) -> int:
    run_folder = Path(tempfile.mkdtemp(prefix="kafka-ws-"))
    try:
        system = LocalSystem(settings, run_folder, credentials)
    except LocalRunError:
        run_folder.rmdir()
        raise
    return asyncio.run(_run(system))


async def _run(system: LocalSystem) -> int:
    grace_sec = system.settings.grace_sec + STOP_MARGIN_SEC
    supervisor = Supervisor(system.run_folder, _say, lambda row: _say(str(row)), grace_sec)
    stop = _stop_signal(supervisor)
    running = asyncio.create_task(_start_and_watch(system, supervisor))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            await running
        return 0
    finally:
        running.cancel()
        stopping.cancel()
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

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup does, or a shell to what it runs behind
            loop.add_signal_handler(number, on_signal)
    return stop


def _say(text: str) -> None:
    # The terminal, or the program that was reading, may be gone; the parts still have to be stopped.
    with suppress(OSError):
        print(text, flush=True)
