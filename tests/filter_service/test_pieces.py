"""Batches cut into pieces: together they are the batch, each piece fits, and every position that is told is right."""

from hypothesis import given
from hypothesis import strategies as st

from filter_service.outbox import Batch, Delivery
from filter_service.pieces import VALUE_OVERHEAD, pieces
from filter_service.subscription import Subscription
from tests.filter_service.made import any_batches, delivered, outbox, subscription

OUT = outbox()
SUBSCRIPTIONS: list[Subscription] = [subscription(number, OUT) for number in range(4)]


def weight(of: Batch) -> int:
    """What a piece weighs, without indexes."""
    return sum(VALUE_OVERHEAD + len(value) for value in of.values) + sum(each.size for each in of.metadata or ())


@given(any_batches(SUBSCRIPTIONS), st.integers(1, 700))
def test_pieces_are_the_batch(batch: Batch, most_bytes: int) -> None:
    """Columns are kept, everybody gets the same, and a position is behind all that its subscription has got so far
    and before all that it gets later."""
    found = list(pieces(batch, most_bytes))
    for name in ("offsets", "timestamps", "values"):
        assert [each for piece in found for each in getattr(piece, name)] == getattr(batch, name)
    if batch.metadata is not None:
        assert [each for piece in found for each in piece.metadata or ()] == batch.metadata
    assert delivered(found) == delivered([batch])
    assert found[-1].next_offset == batch.next_offset
    positions: dict[int, int] = {}
    for piece in found:
        assert len(piece.values) == 1 or weight(piece) <= most_bytes
        for number, rows in delivered([piece]).items():
            assert rows[0][1] >= positions.get(number, 0)
            assert rows[-1][1] < piece.next_offset
            positions[number] = piece.next_offset


def test_a_batch_that_fits_is_left_alone() -> None:
    """No copy is made of it."""
    batch = Batch(0, [0], [0], [b"x" * 100], None, [(SUBSCRIPTIONS[0], None)], 1, 100)
    (only,) = pieces(batch)
    assert only is batch


def test_many_subscriptions_are_cut_too() -> None:
    """What weighs can be the lists of who takes which, not the values."""
    count = 1_000
    everybody = [subscription(number, OUT) for number in range(500)]
    deliveries: list[Delivery] = [(each, list(range(1, count))) for each in everybody]
    size = 8 * 500 * count
    batch = Batch(0, list(range(count)), [0] * count, [b"{}"] * count, None, deliveries, count, size)
    found = list(pieces(batch))
    assert len(found) > 1
    assert delivered(found) == delivered([batch])
