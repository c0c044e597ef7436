"""Positions: what has been delivered once is not delivered again."""

from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edge.position import Position


def test_unknown_partition_begins_at_zero() -> None:
    """A partition that appears is read from offset 0."""
    assert list(Position().accept(7, [0, 1], 2)) == [0, 1]


def test_batch_below_the_position_is_cut() -> None:
    """Of a batch that overlaps only the new part is left; of an old one nothing."""
    position = Position({0: 5})
    assert list(position.accept(0, [3, 4, 5, 6], 7)) == [2, 3]
    assert list(position.accept(0, [3, 4, 5, 6], 7)) == []
    assert position.next_offsets == {0: 7}


def test_chosen_indexes_are_cut() -> None:
    """A delivery's own indexes are cut by the offsets they point at; equal offsets are projections of one record."""
    position = Position({0: 5})
    assert list(position.accept(0, [3, 4, 4, 5, 6], 8, [0, 2, 4])) == [4]
    assert position.next_offsets == {0: 8}


def test_fully_filtered_batch_moves() -> None:
    """A batch without records of ours moves the position all the same."""
    position = Position({0: 5})
    assert list(position.accept(0, [], 9)) == []
    assert position.next_offsets == {0: 9}


def test_beginning_again_does_not_go_back() -> None:
    """What a replica says when a subscription is opened again teaches new partitions, and moves none."""
    position = Position({0: 5})
    position.begin({0: 3, 1: 0})
    assert position.next_offsets == {0: 5, 1: 0}


def test_level() -> None:
    """Positions are level when they would deliver the same; a partition unheard of stands at 0."""
    assert Position({0: 5}).is_level_with({0: 5, 1: 0})
    assert not Position({0: 5}).is_level_with({0: 5, 1: 1})
    assert not Position({0: 5}).is_level_with({0: 4})


class TwoReaders(RuleBasedStateMachine):
    """Two replicas read one log with holes, each from where it likes, and both send to one subscription."""

    def __init__(self) -> None:
        super().__init__()
        self.position = Position()
        self.log: list[int] = []
        self.end = 0
        self.delivered: list[int] = []

    @rule(hole=st.integers(0, 3), count=st.integers(1, 5))
    def write(self, hole: int, count: int) -> None:
        self.end += hole
        self.log += range(self.end, self.end + count)
        self.end += count

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        known = self.position.next_offsets.get(0, 0)
        first = data.draw(st.integers(0, known))
        last = data.draw(st.integers(first, self.end))
        offsets = self.log[bisect_left(self.log, first) : bisect_left(self.log, last)]
        self.delivered += [offsets[index] for index in self.position.accept(0, offsets, last)]

    @invariant()
    def everything_once(self) -> None:
        known = self.position.next_offsets.get(0, 0)
        assert self.delivered == self.log[: bisect_left(self.log, known)]


TestTwoReaders = TwoReaders.TestCase


@given(st.integers(0, 20), st.lists(st.integers(0, 20), unique=True), st.data())
def test_selection_agrees_with_filtering(known: int, offsets: list[int], data: st.DataObject) -> None:
    """Whatever is chosen of a batch, exactly what lies at or behind the position is accepted."""
    offsets.sort()
    chosen = sorted(data.draw(st.sets(st.integers(0, len(offsets) - 1)))) if offsets else []
    accepted = Position({0: known}).accept(0, offsets, 21, chosen)
    meant = chosen or range(len(offsets))
    assert list(accepted) == [index for index in meant if offsets[index] >= known]
