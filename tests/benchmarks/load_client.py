"""The load client, `load/ws_load.c`, as scenarios use it: opens WebSockets, counts their frames, measures latency.

Blocking; one thread at a time. The program is built by `make bench` and ends with its standard input.
"""

from __future__ import annotations

import itertools
import json
import selectors
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROGRAMS = Path(__file__).resolve().parents[2] / ".cache" / "benchmarks"
"""Where the Makefile puts the C programs."""

AT_ONCE = 64
"""Sockets being opened at the same time, unless a scenario says otherwise."""

_WAIT_SEC = 30.0


class LoadClientError(Exception):
    """The load client has ended, or did not get what it waited for; the text says what was there."""


@dataclass(frozen=True)
class Latency:
    """Latencies of all frames, in ms.

    Attributes:
        buckets: (upper bound in ms, number of frames), rising, without empty ones.
    """

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    p999: float
    highest: float
    buckets: tuple[tuple[float, int], ...]


@dataclass(frozen=True)
class Report:
    """What has come since the last `reset`.

    Attributes:
        frames: data frames, all sockets.
        seconds: from the first to the last of them.
        open: sockets that are open.
        closed_by_server: sockets that the server has closed, the last with `close_code`.
        least, most: frames of the socket that has got the fewest or the most.
    """

    frames: int
    bytes: int
    seconds: float
    open: int
    closed_by_server: int
    close_code: int
    least: int
    most: int
    latency: Latency


@dataclass(frozen=True)
class Opening:
    """How opening sockets went; times in seconds, a ticket and the handshake included."""

    opened: int
    seconds: float
    p50: float
    p99: float


class LoadClient:
    """One process with any number of WebSockets.

    Args:
        directory: an existing folder for its files.
        address: the edge's `host:port`, the host an IPv4 address.
        token: JSON Web Token that tickets are asked for with.
        programs: where `ws_load` is.
    """

    _numbers = itertools.count(1)

    def __init__(self, directory: Path, address: str, token: str, programs: Path = PROGRAMS) -> None:
        self._directory = directory
        self._number = next(self._numbers)
        token_file = directory / f"token-{self._number}"
        token_file.write_text(f"Bearer {token}\n")
        host, _, port = address.rpartition(":")
        self._process = subprocess.Popen(
            [programs / "ws_load", host, port, token_file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._unread = b""
        self._selector = selectors.DefaultSelector()
        assert self._process.stdout is not None
        self._selector.register(self._process.stdout, selectors.EVENT_READ)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def close(self) -> None:
        """Ends the process, and its sockets with it."""
        self._selector.close()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()
        self._process.wait(_WAIT_SEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -------------------------------------------------------------------------------------------------- commands

    def begin_open(self, count: int, targets: Sequence[str], at_once: int = AT_ONCE, tag: int = 0) -> None:
        """Begins to open sockets; see `wait_open`.

        Args:
            count: number of sockets.
            targets: path and query of each, without a ticket; they are taken in turn.
            at_once: how many may be on their way at the same time.
            tag: number by which `close_oldest` knows them.
        """
        path = self._directory / f"targets-{self._number}-{tag}"
        path.write_text("".join(f"{target}\n" for target in targets))
        self._say(f"open {count} {at_once} {tag} {path}")

    def wait_open(self, timeout_sec: float = 600.0) -> Opening:
        """Waits until all sockets are open.

        Raises:
            LoadClientError: some could not be opened; the text holds the last answer.
        """
        answer = self._wait("opened", timeout_sec)
        if answer["failed"]:
            raise LoadClientError(f"{answer['failed']} sockets could not be opened, the last one: {answer['failure']}")
        return Opening(answer["opened"], answer["seconds"], answer["p50"] / 1e6, answer["p99"] / 1e6)

    def open(self, count: int, targets: Sequence[str], at_once: int = AT_ONCE, tag: int = 0) -> Opening:
        """Opens sockets and waits until all are open; arguments as for `begin_open`."""
        self.begin_open(count, targets, at_once, tag)
        return self.wait_open()

    def close_oldest(self, count: int, tag: int = 0) -> None:
        """Closes the oldest `count` sockets with a tag; returns at once."""
        self._say(f"close {count} {tag}")

    def reset(self) -> None:
        """Counts from zero."""
        self._say("reset")

    def expect(self, frames: int) -> None:
        """Has `wait_expected` return when so many frames have come since the last `reset`."""
        self._say(f"expect {frames}")

    def wait_expected(self, timeout_sec: float) -> Report:
        """Waits for what was expected.

        Raises:
            LoadClientError: it has not come in time, or a socket was closed; the text says what has come.
        """
        try:
            report = _report(self._wait("reached", timeout_sec))
        except TimeoutError:
            report = self.report()
            raise LoadClientError(f"after {timeout_sec:g} s still not all frames: {_short(report)}") from None
        if report.closed_by_server:
            raise LoadClientError(f"the server has closed sockets: {_short(report)}")
        return report

    def report(self) -> Report:
        """What has come since the last `reset`."""
        self._say("report")
        return _report(self._wait("report", _WAIT_SEC))

    # ---------------------------------------------------------------------------------------------------- pipes

    def _say(self, command: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{command}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise LoadClientError(self._last_words()) from None

    def _wait(self, event: str, timeout_sec: float) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_sec
        while True:
            line, newline, rest = self._unread.partition(b"\n")
            if newline:
                self._unread = rest
                answer: dict[str, Any] = json.loads(line)
                if answer["event"] == event:
                    return answer
                continue
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError(f"no answer `{event}` from the load client within {timeout_sec:g} s")
            for key, _ in self._selector.select(remaining):
                data = key.fileobj.read1(1 << 20)  # type: ignore[union-attr]  # a pipe's buffered reader
                if not data:
                    raise LoadClientError(self._last_words())
                self._unread += data

    def _last_words(self) -> str:
        assert self._process.stderr is not None
        said = self._process.stderr.read().decode(errors="replace").strip()
        return f"the load client has ended with {self._process.wait(_WAIT_SEC)}: {said}"


def _report(answer: dict[str, Any]) -> Report:
    latency = answer["latency"]
    return Report(
        frames=answer["frames"],
        bytes=answer["bytes"],
        seconds=(answer["last_us"] - answer["first_us"]) / 1e6,
        open=answer["open"],
        closed_by_server=answer["closed_by_server"],
        close_code=answer["close_code"],
        least=answer["least"],
        most=answer["most"],
        latency=Latency(
            latency["count"],
            latency["mean"] / 1e3,
            latency["p50"] / 1e3,
            latency["p90"] / 1e3,
            latency["p99"] / 1e3,
            latency["p999"] / 1e3,
            latency["max"] / 1e3,
            tuple((bound / 1e3, count) for bound, count in latency["buckets"]),
        ),
    )


def _short(report: Report) -> str:
    return (
        f"{report.frames} frames, {report.open} sockets open with {report.least} to {report.most} each, "
        f"{report.closed_by_server} closed by the server (code {report.close_code})"
    )
