"""The producer process as scenarios use it. Blocking; one thread at a time."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_ROOT = Path(__file__).resolve().parents[2]


class Production:
    """Writes records, numbered from 0 on, to one topic.

    Args:
        bootstrap: Kafka's `host:port`.
        topic: topic name.
        partitions: how many it has; all get the same share.
    """

    def __init__(self, bootstrap: str, topic: str, partitions: int = 1) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._partitions = partitions
        self._next = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.producer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_ROOT,
            text=True,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def prepare_commit(self, records: int) -> None:
        """Writes records that nobody sees before `go`; returns when the broker has them."""
        self._order(way="commit", id=f"benchmark-{secrets.token_hex(4)}", records=records)
        self._expect("filled")

    def prepare_pace(self, records: int, rate: float) -> None:
        """Gets ready to write records at `rate` per second (0: full speed) from `go` on."""
        self._order(way="pace", records=records, rate=rate)
        self._expect("ready")

    def go(self) -> None:
        """Does what was prepared; returns at once. Every `go` needs a `wait`."""
        self._say("commit")

    def wait(self) -> dict[str, Any]:
        """Waits until all records are written; with `pace`, the answer holds the `seconds` it took."""
        return self._expect("done")

    def _order(self, *, records: int, **order: object) -> None:
        self._say(
            json.dumps(
                {
                    "bootstrap": self._bootstrap,
                    "topic": self._topic,
                    "partitions": self._partitions,
                    "first": self._next,
                    "records": records,
                    **order,
                }
            )
        )
        self._next += records

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _expect(self, event: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the producer has ended with {self._process.wait()}; it says why above")
        answer: dict[str, Any] = json.loads(line)
        assert answer["event"] == event, answer
        return answer

    def close(self) -> None:
        """Ends the process; what was prepared and not begun is dropped."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            # It may be in the midst of something; nobody needs what it writes any more.
            self._process.kill()
        self.close()
