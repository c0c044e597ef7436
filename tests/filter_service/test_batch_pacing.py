"""When a reader lets records gather: only if they come often, and no backlog is read."""

from itertools import pairwise

import pytest

from filter_service.batch_pacing import OFTEN, SPACING_SEC, BatchPacing

BATCH = 1000


def waits(
    pacing: BatchPacing, per_second: float, seconds: float = 2, begin: float = 0, at_once: int = 1
) -> list[float]:
    """How long each batch waited of those that came at a steady rate.

    Args:
        pacing: the pace.
        per_second, seconds, begin: arrivals: how many, how long, and from when on.
        at_once: records of an arrival.
    """
    return [taken - came for came, taken in batches(pacing, per_second, seconds, begin, at_once)]


def batches(
    pacing: BatchPacing, per_second: float, seconds: float, begin: float = 0, at_once: int = 1
) -> list[tuple[float, float]]:
    """Of each batch, when its first record came and when it was taken, with all that had come by then."""
    arrivals = [begin + number / per_second for number in range(int(per_second * seconds))]
    taken = []
    first = 0
    while first < len(arrivals):
        came = arrivals[first]
        now = came + max(0.0, pacing.wait_sec(came))
        beyond = first
        while beyond < len(arrivals) and arrivals[beyond] <= now:
            beyond += 1
        pacing.took(min(BATCH, at_once * (beyond - first)), now)
        taken.append((came, now))
        first = beyond
    return taken


def test_what_comes_seldom_does_not_wait() -> None:
    """Also when records come in pairs."""
    assert not any(waits(BatchPacing(BATCH), OFTEN * 0.9))
    assert not any(waits(BatchPacing(BATCH), OFTEN * 0.45, at_once=2))


@pytest.mark.parametrize("factor", [1.2, 5, 50])
def test_what_comes_often_is_taken_some_milliseconds_after_the_last_batch(factor: float) -> None:
    """Once that is known, and hardly later: what came meanwhile is part of the batch."""
    taken = [now for _, now in batches(BatchPacing(BATCH), OFTEN * factor, seconds=2)]
    known = [second - first for first, second in pairwise([now for now in taken if now > 0.2])]
    between = 1 / (OFTEN * factor)
    assert min(known) >= SPACING_SEC - 1e-9
    assert max(known) <= SPACING_SEC + between + 1e-9


def test_a_backlog_does_not_wait() -> None:
    """Batches that are half full and more follow one another at once."""
    assert not any(waits(BatchPacing(BATCH), 500, at_once=BATCH // 2))


def test_the_first_record_after_a_silence_does_not_wait() -> None:
    """However often records came before."""
    pacing = BatchPacing(BATCH)
    assert any(waits(pacing, 5 * OFTEN, seconds=1.95))
    assert not any(waits(pacing, OFTEN * 0.9, begin=10))


def test_batches_of_single_records_do_not_wait() -> None:
    """Nothing is gathered where a batch holds one record."""
    pacing = BatchPacing(1)
    for number in range(10 * OFTEN):
        assert pacing.wait_sec(number / OFTEN / 5) <= 0
        pacing.took(1, number / OFTEN / 5)
