"""The tour of README.md: its commands, run on a real local system, print what the page shows.

Values differ from run to run, so both texts are compared with numbers, tokens, tickets and states blotted out.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.local_run import NOTHING_TO_INSTALL, LocalRun, shell_environment
from tests.docs.page import ROOT, blocks, section, text_of

TOUR = text_of().partition("\n## A tour of five minutes\n")[2].partition("\n## ")[0]
RUN, *CONSOLES = blocks("console", TOUR)
_TIMEOUT_SEC = 100
_END = "end of the output of a command"

_BLOTS = (
    (r"eyJ[\w.…-]+", "TOKEN"),
    (r"[0-9a-f]{64}", "TICKET"),
    (r"^logs  \S+", "logs  FOLDER"),
    (r" KAFKA_WS_SERVER_PORT=\d+", ""),  # shown when the port is not the usual one
    (r"\b(?:ok|failed|stopped)\b", "STATE"),
    (r"\d+(?:\.\d+)?", "0"),
    (r" +", " "),
)


def blotted(text: str) -> list[str]:
    """A text's lines without what may differ, and without what make says about a failed command."""
    for pattern, instead in _BLOTS:
        text = re.sub(pattern, instead, text, flags=re.MULTILINE)
    return [line for line in text.strip().splitlines() if not re.match(r"make(\[\d+\])?: \*\*\*", line)]


def commands(console: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with its output."""
    for piece in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        command, _, output = piece.partition("\n")
        yield command, output


@pytest.fixture(scope="module")
def local_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRun]:
    """A running `make run`."""
    with LocalRun(tmp_path_factory.mktemp("tour")) as run:
        yield run


def actual(command: str, run: LocalRun) -> str:
    """A command of the page with the token and the addresses of this run."""
    command = re.sub(r"eyJ[\w.…-]+", run.token, command)
    for name, address in re.findall(r"^(\S+) +(127\.0\.0\.1:\d+) +\d+$", RUN, re.MULTILINE):
        command = command.replace(address, run.rows()[name].address)
    return command


def test_make_run_announces_what_the_page_shows(local_run: LocalRun) -> None:
    """The table of processes, the token, the commands to try, and `ready` last."""
    ((command, shown),) = commands(RUN)
    assert command == "make run"
    assert blotted(local_run.announced) == blotted(shown)


def test_the_commands_print_what_the_page_shows(local_run: LocalRun) -> None:
    """Every command of the tour, in one shell, one after the other."""
    steps = [step for console in CONSOLES for step in commands(console)]
    assert len(steps) > 10
    script = [f'make() {{ command make "$@" {" ".join(NOTHING_TO_INSTALL)}; }}']
    for command, _ in steps:
        script += [actual(command, local_run).replace(".venv/bin/python", sys.executable), f"echo; echo {_END}"]
    result = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=ROOT,
        env=shell_environment({"KAFKA_WS_SERVER_PORT": str(local_run.port)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_TIMEOUT_SEC,
        check=False,
    )
    outputs = result.stdout.split(f"\n{_END}\n")[:-1]
    assert [(command, blotted(output)) for (command, _), output in zip(steps, outputs, strict=True)] == [
        (command, blotted(shown)) for command, shown in steps
    ]


def test_the_announced_command_shows_live_data(local_run: LocalRun) -> None:
    """What stands there to be copied works."""
    line = next(line for line in local_run.announced.splitlines() if line.startswith("  make tail "))
    variables = re.findall(r"(\w+)=('[^']*'|\S+)", line)
    result = local_run.tail("COUNT=1", *(f"{name}={value.strip(chr(39))}" for name, value in variables))
    assert re.fullmatch(r'\{"sensor":\{"status":"\w+"\},"temperature":[0-9.]+\}\n', result.stdout)


def test_the_code_for_browsers_works(local_run: LocalRun, node: list[str], tmp_path: Path) -> None:
    """The JavaScript of the page, in Node: it logs a record, and the code and reason of a close."""
    (snippet,) = blocks("js", section("By hand: token, ticket, WebSocket", TOUR))
    program = tmp_path / "page.mjs"
    program.write_text(
        f"""
const token = "{local_run.token}";
const location = {{ host: "127.0.0.1:{local_run.port}" }};
const fetch = (path, options) => globalThis.fetch(`{local_run.url}${{path}}`, options);
const console = {{ log: (...shown) => {{ globalThis.console.log(...shown); socket.close(); }} }};
{snippet.replace("wss://", "ws://")}
"""
    )
    result = subprocess.run(
        [*node, str(program)],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SEC,
        check=False,
    )
    lines = result.stdout.splitlines()
    assert re.fullmatch(r"\{ sensor: \{ id: 'sensor-\d+' \}, temperature: [0-9.]+ \}", lines[0]), result
    assert lines[-1].startswith("closed 1"), result
