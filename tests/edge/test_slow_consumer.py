"""The marks of slow consumers."""

from hypothesis import given
from hypothesis import strategies as st

from edge.slow_consumer import Marks, Pace, SlowConsumer

MARKS = Marks(high=100, low=20, stall_sec=10)


def test_high_mark_itself_is_fine() -> None:
    """A socket drains from one byte over the high mark on."""
    consumer = SlowConsumer(MARKS)
    assert consumer.gave(100, 0, 0) is Pace.FOLLOWING
    assert consumer.gave(101, 0, 0) is Pace.DRAINING


def test_follows_again_at_the_low_mark() -> None:
    """Between the marks a draining socket goes on draining; at the low mark it follows again."""
    consumer = SlowConsumer(MARKS)
    consumer.gave(101, 0, 0)
    assert consumer.looked(21, 80, 1) is Pace.DRAINING
    assert consumer.looked(20, 81, 2) is Pace.FOLLOWING
    assert consumer.gave(101, 81, 3) is Pace.DRAINING


def test_stalls_without_progress() -> None:
    """A socket that takes nothing for the whole time stalls, for good; each byte begins the time again."""
    consumer = SlowConsumer(MARKS)
    consumer.gave(150, 0, 0)
    assert consumer.looked(150, 0, 9.9) is Pace.DRAINING
    assert consumer.looked(149, 1, 10) is Pace.DRAINING
    assert consumer.looked(149, 1, 19.9) is Pace.DRAINING
    assert consumer.looked(149, 1, 20) is Pace.STALLED
    assert consumer.looked(0, 150, 21) is Pace.STALLED


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=60))
def test_waiting_bytes_are_bounded(steps: list[tuple[int, int]]) -> None:
    """Who gives only to followers never has more waiting than the high mark and one gift."""
    consumer = SlowConsumer(MARKS)
    waiting = taken = 0
    for now, (gift, drained) in enumerate(steps):
        if consumer.pace is Pace.FOLLOWING:
            waiting += gift
            consumer.gave(waiting, taken, now)
        drained = min(drained, waiting)
        waiting -= drained
        taken += drained
        if consumer.looked(waiting, taken, now) is Pace.FOLLOWING:
            assert waiting <= MARKS.high
        assert waiting <= MARKS.high + 60
