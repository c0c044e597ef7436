"""When a peer is pinged, and when it counts as dead."""

from edge.keep_alive import Liveness, Sign


def test_quiet_peer_is_pinged_once() -> None:
    """After the interval there is one ping, and no second before its answer."""
    liveness = Liveness(30, 20, now=0)
    assert liveness.visit(29, 0, 0, 0) is Sign.NOTHING
    assert liveness.visit(30, 0, 0, 0) is Sign.PING
    assert liveness.visit(49, 0, 0, 0) is Sign.NOTHING


def test_silent_peer_is_dead() -> None:
    """A peer that says nothing for the timeout is dead, though its kernel acknowledges the ping."""
    liveness = Liveness(30, 20, now=0)
    liveness.visit(30, 0, 0, 0)
    assert liveness.visit(40, 0, 2, 0) is Sign.NOTHING
    assert liveness.visit(50, 0, 2, 0) is Sign.DEAD


def test_answer_counts_from_when_it_came() -> None:
    """After an answer the next ping is an interval away."""
    liveness = Liveness(30, 20, now=0)
    liveness.visit(30, 0, 0, 0)
    assert liveness.visit(35, 1, 2, 0) is Sign.NOTHING
    assert liveness.visit(64, 1, 2, 0) is Sign.NOTHING
    assert liveness.visit(65, 1, 2, 0) is Sign.PING


def test_slow_reader_is_not_dead() -> None:
    """As long as a peer takes something of what is on its way, the ping behind it may wait."""
    liveness = Liveness(30, 20, now=0)
    liveness.visit(30, 0, 0, 10_000)
    for step in range(1, 10):
        assert liveness.visit(30 + 19 * step, 0, 100 * step, 10_000) is Sign.NOTHING
    assert liveness.visit(30 + 19 * 9 + 20, 0, 900, 10_000) is Sign.DEAD
