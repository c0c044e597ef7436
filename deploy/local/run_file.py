"""How `make tail` finds the local run: a private file with its URL and token, one per run.

Written and removed by `launcher`, read by `tail_client`. The folder is ignored by git, the files are readable by their
owner only.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from deploy.local.settings import DEFAULT_EDGE_PORT, REPOSITORY

FOLDER = REPOSITORY / ".cache" / "local-run"


@dataclass(frozen=True)
class LocalRun:
    """A running local system.

    Attributes:
        url: of the first edge, `http://host:port`.
        token: that it accepts; empty when tokens come from elsewhere.
        topic: with demo data; empty when there is none.
        pid: of the launcher.
    """

    url: str
    token: str
    topic: str
    pid: int

    @property
    def port(self) -> int:
        """Of the first edge."""
        return urlsplit(self.url).port or DEFAULT_EDGE_PORT

    def is_alive(self) -> bool:
        """Whether its launcher still exists."""
        return is_alive(self.pid)


def is_alive(pid: int) -> bool:
    """Whether a process exists, whoever's it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def publish(run: LocalRun, folder: Path = FOLDER) -> Path:
    """Writes the file of a run; returns its place."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{run.port}.json"
    draft = folder / f"{run.port}.{run.pid}.draft"
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(run), file)
    draft.replace(path)
    return path


def find(port: int | None, folder: Path = FOLDER) -> LocalRun | None:
    """The run whose first edge has this port.

    Args:
        port: None: the one at the usual port, else the one that started last.
        folder: where the files are.
    """
    runs = {run.port: run for run in _alive(folder)}
    if port is not None:
        return runs.get(port)
    return runs.get(DEFAULT_EDGE_PORT) or next(reversed(runs.values()), None)


def _alive(folder: Path) -> Iterator[LocalRun]:
    """The runs whose launcher exists, the latest last."""
    with contextlib.suppress(FileNotFoundError):
        for path in sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime):
            with contextlib.suppress(OSError, ValueError, TypeError):
                run = LocalRun(**json.loads(path.read_text(encoding="utf-8")))
                if run.is_alive():
                    yield run
