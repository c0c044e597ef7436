"""What the numbered records look like, and which of them a client has asked for. Pure; used by all processes.

Record number n of a partition is a function of n and the partition, but for the time at which it is written. All
members that filters look at repeat every `PERIOD` numbers, so that a client knows, from one record, the number of the
next that it has to get.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

PARTITIONS = 6
PERIOD = 100
WORDS = ("alpha", "beta", "gamma", "delta")

_PADDING = "a record as sensors write them, with some text that nobody asks for; " * 2


def templates() -> list[bytes]:
    """One payload for each number modulo `PERIOD`, to be filled with (number, partition, µs of the monotonic clock)."""
    found = []
    for residue in range(PERIOD):
        rest = {
            "m": residue,
            "word": WORDS[residue % len(WORDS)],
            "even": residue % 2 == 0,
            "nested": {"level": residue % 10},
            "text": _PADDING,
        }
        found.append(b'{"n":%d,"p":%d,"at":%d,' + json.dumps(rest, separators=(",", ":")).encode()[1:])
    return found


@dataclass(frozen=True)
class Selection:
    """The records that a filter lets pass.

    :param where: the filter.
    :param residues: numbers modulo `PERIOD` that pass it.
    """

    where: str
    residues: tuple[int, ...]

    def gaps(self) -> list[int]:
        """For each number modulo `PERIOD`: how much to add to get to the first number, itself included, that passes."""
        wanted = sorted(self.residues)
        gaps = [0] * PERIOD
        for before, after in pairwise([wanted[-1] - PERIOD, *wanted]):
            for number in range(before + 1, after + 1):
                gaps[number % PERIOD] = after - number
        return gaps

    def count(self, begin: int, end: int) -> int:
        """How many of the numbers from `begin` up to, not including, `end` pass."""
        return 0 if end <= begin else self._below(end) - self._below(begin)

    def _below(self, end: int) -> int:
        rounds, rest = divmod(end, PERIOD)
        return rounds * len(self.residues) + sum(residue < rest for residue in self.residues)


def _selected(where: str, residues: Iterable[int]) -> Selection:
    return Selection(where, tuple(residues))


EVERYTHING = _selected("", range(PERIOD))
FIFTH = _selected("nested.level=in:3,8;", (n for n in range(PERIOD) if n % 10 in (3, 8)))
SELECTIONS = (
    _selected("m=7;", (7,)),
    _selected("m=gte:95;", range(95, 100)),
    _selected("m=lt:3;", range(3)),
    _selected("word=in:delta;m=lt:20;", range(3, 20, 4)),
    _selected("even=bool:true;m=gte:90;", range(90, 100, 2)),
    _selected("nested.level=5;m=lt:50;", range(5, 50, 10)),
    _selected("word=nin:alpha,beta,gamma;m=gte:80;", range(83, 100, 4)),
    _selected('m=in:"77";', (77,)),
    _selected("n=gte:0;m=in:50,51;text=nin:nothing of that kind;", (50, 51)),
)
"""Filters of all operators that let little pass."""

HUNDREDTHS = tuple(_selected(f"m={residue};", (residue,)) for residue in range(20))
"""Twenty filters that let one record in a hundred pass, each another."""
