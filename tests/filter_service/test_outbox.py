"""The queue in front of a stream: bounded, in order, and with room for those who wait for room."""

import threading
import time

from filter_service import metrics
from filter_service.outbox import Batch, Ended, Item, Outbox, Parked, PositionNote
from filter_service.subscription import Subscription
from tests.filter_service.made import outbox, subscription

OVERHEAD = Outbox.ITEM_OVERHEAD


def batch(size: int) -> Batch:
    """A batch of so many bytes."""
    return Batch(0, [0], [0], [b"x" * size], None, [], 1, size)


def parked(of: Outbox) -> Parked:
    return Parked(subscription(1, of), 0, 5)


def test_items_come_out_in_order() -> None:
    """Whatever their kind; each once."""
    out = outbox()
    one: Subscription = subscription(1, out)
    items: list[Item] = [batch(1), PositionNote([one], 0, 1), batch(2), Ended(one, ValueError())]
    for item in items:
        assert out.offer(item)
    assert out.take() == items
    assert out.take() == []


def test_what_has_been_taken_counts_until_it_is_sent() -> None:
    """The limit covers what is being written, too: a batch is accepted while less than the limit waits."""
    out = outbox(limit=1_000)
    first, second = batch(500), batch(500)
    assert out.offer(first)
    assert out.offer(second)
    assert out.size == 1_000 + 2 * OVERHEAD
    out.take()
    assert not out.offer(batch(0))
    out.sent(first)
    assert out.size == 500 + OVERHEAD
    assert out.offer(batch(0))


def test_small_items_are_bounded_too() -> None:
    """Position notes have no values, but no outbox holds any number of them."""
    out = outbox(limit=10 * OVERHEAD)
    note = PositionNote([subscription(1, out)], 0, 1)
    assert [out.offer(note) for _ in range(12)] == [True] * 10 + [False] * 2


def test_an_end_is_told_even_when_full() -> None:
    """Otherwise a subscription would be silent for ever."""
    out = outbox(limit=1)
    assert out.offer(batch(5))
    assert not out.offer(batch(5))
    assert out.offer(Ended(subscription(1, out), ValueError()))


def test_the_parked_wait_for_half_of_the_room() -> None:
    """They come out together, once, when less than half of the limit waits, and not before."""
    out = outbox(limit=10 * OVERHEAD)
    items = [batch(0) for _ in range(10)]
    for item in items:
        out.offer(item)
    first, second = parked(out), parked(out)
    out.park([first])
    out.take()
    for item in items[:4]:
        out.sent(item)
        assert out.take_parked() == []
    out.park([second])
    out.sent(items[4])
    assert out.take_parked() == [first, second]
    assert out.take_parked() == []


def test_who_writes_is_woken() -> None:
    """By everything that is put in, not by what is refused."""
    woken: list[None] = []
    out = Outbox(1, lambda: woken.append(None))
    out.offer(batch(5))
    out.park([parked(out)])
    assert len(woken) == 2
    out.offer(batch(5))
    assert len(woken) == 2


def test_a_stream_that_has_ended() -> None:
    """Nothing of it is kept, whatever readers that don't know yet still put in; the metric agrees."""
    before = metrics.OUTBOX_BYTES._value.get()
    out = outbox(limit=1_000)
    being_written = batch(700)
    out.offer(being_written)
    out.take()
    out.offer(batch(100))
    out.park([parked(out)])
    assert metrics.OUTBOX_BYTES._value.get() == before + 800 + 2 * OVERHEAD
    out.discard()
    assert out.size == 0
    assert out.offer(batch(100))
    out.park([parked(out)])
    out.sent(being_written)
    assert (out.take(), out.take_parked(), out.size) == ([], [], 0)
    assert metrics.OUTBOX_BYTES._value.get() == before


def test_readers_and_writer_at_once() -> None:
    """Several readers put in while the writer takes out: nothing is lost, each reader's items stay in order."""
    out = outbox(limit=50 * OVERHEAD)
    total, readers = 2_000, 3

    def put(partition: int) -> None:
        for offset in range(total):
            while not out.offer(Batch(partition, [offset], [0], [b""], None, [], offset + 1, 0)):
                time.sleep(0)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(readers)]
    for thread in threads:
        thread.start()
    got: dict[int, list[int]] = {number: [] for number in range(readers)}
    while sum(map(len, got.values())) < total * readers:
        for item in out.take():
            assert isinstance(item, Batch)
            got[item.partition] += item.offsets
            out.sent(item)
    for thread in threads:
        thread.join()
    assert got == {number: list(range(total)) for number in range(readers)}
    assert out.size == 0
