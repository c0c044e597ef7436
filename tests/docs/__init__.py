"""Keeps README.md, DECISIONS.md and CHANGELOG.md true: what they show is run, what they name exists."""
