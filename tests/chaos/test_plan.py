"""What chance may decide."""

import random
from dataclasses import replace
from itertools import islice

from tests.chaos.plan import SHORT, Fault, rounds


def test_every_round_has_every_fault() -> None:
    """In each round each kind of fault comes once, alone or with one of another victim, as often as is said."""
    for share, longest in ((0.0, 1), (1.0, 2)):
        plan = replace(SHORT, overlap_share=share)
        for steps in islice(rounds(random.Random(1), plan), 50):
            assert sorted(fault for step in steps for fault in step) == sorted(Fault)
            assert max(map(len, steps)) == longest
            assert all(len({fault.victim for fault in step}) == len(step) for step in steps)


def test_the_seed_decides() -> None:
    """The same seed gives the same rounds, another gives others."""
    first, again, other = (list(islice(rounds(random.Random(seed), SHORT), 3)) for seed in (5, 5, 6))
    assert first == again != other
