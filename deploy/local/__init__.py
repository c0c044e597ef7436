"""The whole system on one machine, from Python packages only: `make run` and `make tail`.

`run.py` and `tail.py` are the two commands. `launcher` decides which parts run and tells the person about it,
`supervisor` keeps them running, and each other module is one part or one concern of theirs.
"""
