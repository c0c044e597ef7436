"""`make tail`: prints the live records of a topic, filtered and cut down. See `deploy/local/tail_client.py`."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # The repository's root takes the place of this folder, so that the sources need not be installed.
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    from deploy.local.tail_client import main

    sys.exit(main())
