"""`make run`: starts the whole system on this machine. See `deploy/local/launcher.py`."""

import os
import signal
import sys
from pathlib import Path

if __name__ == "__main__":
    # The repository's root takes the place of this folder, so that the sources need not be installed.
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    # Until the launcher has its own handlers there is nothing to stop, and a traceback would tell nobody anything.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Read when grpc is imported: its remarks about connections that come and go are nothing for the terminal.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    from deploy.local.launcher import main

    sys.exit(main())
