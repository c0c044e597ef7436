"""What can go wrong with a local run, as sentences for the person at the terminal.

LocalRunError            shown as it is, exit code 1
 ├── SettingError        a variable of the launcher is wrong
 ├── PortInUseError      an address that was asked for is taken
 └── PartFailedError     a part does not start, or not any more
"""

from collections.abc import Sequence
from pathlib import Path


class LocalRunError(Exception):
    """The local run cannot start or go on; the text is one sentence for the person who started it."""


class SettingError(LocalRunError):
    """A variable of the launcher is wrong.

    Args:
        variable: its name.
        problem: what is wrong, to follow "NAME: ".
    """

    def __init__(self, variable: str, problem: str) -> None:
        """Takes what the sentence tells."""
        super().__init__(variable, problem)
        self.variable = variable
        self.problem = problem

    def __str__(self) -> str:
        """The sentence."""
        return f"{self.variable}: {self.problem}."


class PortInUseError(LocalRunError):
    """An edge's port is taken by another program.

    Args:
        name: the part that wants it.
        address: `host:port`.
    """

    def __init__(self, name: str, address: str) -> None:
        """Takes what the sentence tells."""
        super().__init__(name, address)
        self.name = name
        self.address = address

    def __str__(self) -> str:
        """The sentence."""
        return f"{self.name} cannot listen at {self.address}, it is in use: set KAFKA_WS_SERVER_PORT to a free port."


class PartFailedError(LocalRunError):
    """A part does not start, or not any more.

    Args:
        name: the part.
        problem: what happened, to follow the name.
        log: the file with its output.
        last_lines: the end of that file.
    """

    def __init__(self, name: str, problem: str, log: Path, last_lines: Sequence[str]) -> None:
        """Takes what the sentence tells."""
        super().__init__(name, problem, log, last_lines)
        self.name = name
        self.problem = problem
        self.log = log
        self.last_lines = tuple(last_lines)

    def __str__(self) -> str:
        """The sentence."""
        if not self.last_lines:
            return f"{self.name} {self.problem}; it logged nothing."
        lines = "\n".join(f"  {line}" for line in self.last_lines)
        return f"{self.name} {self.problem}; the end of its log {self.log}:\n{lines}"
