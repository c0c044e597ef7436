"""Where a local run keeps its parts' logs and status files: a private folder of its own, in a folder that git ignores.

Made by `launcher`. It stays when the run has ended, for whoever wants to read the logs, until the next run starts.
"""

import os
import shutil
from pathlib import Path

from deploy.local.run_file import FOLDER, is_alive

_PREFIX = "logs-"


def create(folder: Path = FOLDER) -> Path:
    """Makes the folder of this process' run, and removes those of runs that have ended.

    Args:
        folder: where runs keep what they leave.
    """
    for old in folder.glob(f"{_PREFIX}*"):
        pid = old.name.removeprefix(_PREFIX)
        if pid.isdigit() and (int(pid) == os.getpid() or not is_alive(int(pid))):
            shutil.rmtree(old, ignore_errors=True)
    own = folder / f"{_PREFIX}{os.getpid()}"
    own.mkdir(mode=0o700, parents=True)
    return own
