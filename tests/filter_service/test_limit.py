"""Where subscriptions end, as a pure decision."""

from hypothesis import given
from hypothesis import strategies as st

from filter_service.limit import Limit

OFFSETS = st.integers(0, 12)
POSITIONS = st.dictionaries(st.integers(0, 3), OFFSETS, max_size=4)


@given(OFFSETS, st.lists(OFFSETS, unique=True).map(sorted), st.data())
def test_what_lies_before_the_stop_is_kept(stop: int, offsets: list[int], data: st.DataObject) -> None:
    """Exactly the records before the stop are kept, of all or of those that are meant."""
    limit = Limit({0: 0}, {0: stop})
    meant = (
        data.draw(st.none() | st.lists(st.sampled_from(range(len(offsets))), unique=True).map(sorted))
        if offsets
        else None
    )
    kept = limit.cut(0, offsets, meant)
    wanted = range(len(offsets)) if meant is None else meant
    assert list(wanted if kept is None else kept) == [index for index in wanted if offsets[index] < stop]


@given(POSITIONS, st.data())
def test_the_end_is_reached_when_every_partition_has(starts: dict[int, int], data: st.DataObject) -> None:
    """Complete is what stands at or behind its stop everywhere, however the partitions get there."""
    stops = {partition: data.draw(OFFSETS) for partition in starts}
    limit = Limit(starts, stops)
    now = dict(starts)
    for partition, offset in data.draw(st.lists(st.tuples(st.integers(0, 3), OFFSETS))):
        now[partition] = max(now.get(partition, 0), offset)
        limit.advance(partition, now[partition])
        assert limit.position(partition, offset) == min(offset, stops.get(partition, offset))
    assert limit.is_reached == all(now[partition] >= stop for partition, stop in stops.items())
