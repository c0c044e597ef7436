"""`make run` and `make tail` as a person calls them, for tests: real processes, free ports, the Python of the tests.

Blocking; used from the test's thread only.
"""

import http.client
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.local import run_file
from deploy.local.free_ports import is_free
from deploy.local.settings import LOOPBACK, REPOSITORY
from deploy.local.table import Row
from tests.deploy.process_table import VARIABLE, marked_processes, new_mark
from tests.processes import Process, free_port, inherited_environment

TIMEOUT_SEC = 60.0
"""Bound of every wait. Far above what anything takes; only a failure meets it."""

NOTHING_TO_INSTALL = ("RUN=", f"PY={sys.executable}")
"""Arguments that have make use the environment that runs the tests, which has everything."""

_OF_ANOTHER_MAKE = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS")
_OF_THE_COMMANDS = ("FILTERS", "EDGES", "TOPIC", "WHERE", "FIELDS", "COUNT", "URL")
_ROW = re.compile(r"^(\S+) +(\S+) +([0-9]+)$", re.MULTILINE)


def shell_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """What a person's shell would have, plus `variables`: nothing of the make that may have started the tests."""
    foreign = (*_OF_ANOTHER_MAKE, *_OF_THE_COMMANDS)
    return {name: value for name, value in inherited_environment({}).items() if name not in foreign} | dict(variables)


def ports_in_a_row(count: int) -> int:
    """The first of `count` free ports that follow each other."""
    while True:
        first = free_port()
        if all(is_free(LOOPBACK, first + number) for number in range(1, count)):
            return first


def make_tail(*arguments: str, variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`make tail` with these arguments, run to its end."""
    return subprocess.run(
        ["make", "tail", *arguments, *NOTHING_TO_INSTALL],
        cwd=REPOSITORY,
        env=shell_environment(variables or {}),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SEC,
        check=False,
    )


class LocalRun:
    """One `make run`, and all that it has started.

    :param folder: an existing folder, for what it prints.
    :param arguments: of make, behind `run`.
    :param variables: environment variables.
    :param edges: how many ports it will listen at.
    :param in_front: a program and arguments that execute what follows them.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        variables: Mapping[str, str] | None = None,
        edges: int = 1,
        in_front: Sequence[str] = (),
    ) -> None:
        self.port = ports_in_a_row(edges)
        self.announced = ""
        """What it had printed when it was ready."""
        self._mark = new_mark()
        own = {"KAFKA_WS_SERVER_PORT": str(self.port), VARIABLE: self._mark}
        self.make = Process(
            "make run",
            [*in_front, "make", "run", *arguments, *NOTHING_TO_INSTALL],
            log_path=folder / "make-run.log",
            env=shell_environment({**own, **(variables or {})}),
            cwd=REPOSITORY,
        )

    def start(self) -> None:
        """Start it and wait for the line that says `ready`."""
        self.make.start()
        self.make.wait_ready(lambda: re.search("^ready .*\n", self.make.log(), re.MULTILINE), TIMEOUT_SEC)
        self.announced = self.make.log()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.make.stop()

    @property
    def url(self) -> str:
        """Of the first edge."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def launcher(self) -> int:
        """Pid of the process that make has become the parent of."""
        run = run_file.find(self.port)
        assert run is not None
        return run.pid

    @property
    def token(self) -> str:
        """The ready-made one."""
        found = re.search(r"^token +(\S+)$", self.announced, re.MULTILINE)
        assert found is not None
        return found[1]

    def rows(self) -> dict[str, Row]:
        """Name -> the row of the table that was printed last."""
        rows = (Row(name, address, int(pid)) for name, address, pid in _ROW.findall(self.make.log()))
        return {row.name: row for row in rows}

    def left_over(self) -> dict[int, str]:
        """Pid -> command line, or name, of everything that still runs because of it."""
        listed = {row.pid: name for name, row in self.rows().items() if run_file.is_alive(row.pid)}
        return listed | marked_processes(self._mark)

    def interrupt(self) -> None:
        """What Ctrl-C at a terminal does: SIGINT for make and everything in its process group."""
        os.killpg(self.make.pid, signal.SIGINT)

    def tail(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`make tail` of this run."""
        return make_tail(f"KAFKA_WS_SERVER_PORT={self.port}", *arguments)

    def ticket_status(self, token: str, edge: int = 1) -> int:
        """HTTP status of the answer to the question for a ticket."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port + edge - 1, timeout=TIMEOUT_SEC)
        try:
            connection.request("GET", "/kafka-ws/v1/ticket", headers={"Authorization": f"Bearer {token}"})
            return connection.getresponse().status
        finally:
            connection.close()
