"""Benchmarks of the whole system and of its parts: `make bench`. Not run by `make test` (no timed assertions there)."""
