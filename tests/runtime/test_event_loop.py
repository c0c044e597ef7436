"""Starting and ending a process."""

import asyncio
import signal
import subprocess
import sys

import pytest

from runtime import event_loop
from runtime.settings import EX_CONFIG, ConfigurationError

STOPPING = """
from runtime import event_loop

async def main() -> None:
    stop = event_loop.stop_signal()
    print("ready", flush=True)
    await stop.wait()
    print("stopping", flush=True)
    {after}

event_loop.run(main())
"""


def start(after: str) -> "subprocess.Popen[str]":
    script = STOPPING.format(after=after)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_an_event(number: signal.Signals) -> None:
    """SIGTERM and Ctrl-C let the service end in its own way."""
    process = start("pass")
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert (output, process.returncode) == ("stopping\n", 0)


def test_the_second_signal_ends_at_once() -> None:
    """A drain that takes too long for somebody can be cut short."""
    process = start("import asyncio; await asyncio.sleep(3600)")
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    assert process.stdout.readline() == "stopping\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM


def test_wrong_configuration_ends_with_its_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    """What is found wrong after the settings were read ends the process in the same way."""

    async def main() -> None:
        raise ConfigurationError("KAFKA_WS_A: a.", "KAFKA_WS_B: b.")

    with pytest.raises(SystemExit) as raised:
        event_loop.run(main())
    assert raised.value.code == EX_CONFIG
    assert capsys.readouterr().err == "KAFKA_WS_A: a.\nKAFKA_WS_B: b.\n"


def test_uvloop_is_used_where_it_is() -> None:
    """The faster loop runs the service on the platforms that have it."""
    uvloop = pytest.importorskip("uvloop", reason="no uvloop for this platform: nothing to test")
    loops: list[asyncio.AbstractEventLoop] = []

    async def main() -> None:
        loops.append(asyncio.get_running_loop())

    event_loop.run(main())
    assert isinstance(loops[0], uvloop.Loop)
