"""Running a service's main coroutine, and the signals that end it. Called by each service's `__main__`."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from runtime.settings import ConfigurationError, refuse

try:
    import uvloop
except ImportError:  # none for this platform or interpreter
    _new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
else:
    _new_event_loop = uvloop.new_event_loop


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs `main` to its end on a new event loop (uvloop where available).

    A `ConfigurationError` is printed and ends the process with `runtime.settings.EX_CONFIG`.
    """
    try:
        with asyncio.Runner(loop_factory=_new_event_loop) as runner:
            runner.run(main)
    except ConfigurationError as error:
        refuse(*error.sentences)


def stop_signal() -> asyncio.Event:
    """An event that SIGTERM or SIGINT sets. To be called on the event loop, once.

    A second signal is no longer caught and ends the process at once, for whoever loses patience with a drain.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return stop
