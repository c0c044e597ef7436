"""Who is stuck."""

import time

from tests.chaos.books import Books
from tests.chaos.reporting import ClientState, Report

LONG = 60.0


def take(books: Books, process: int, number: int, ends: list[int]) -> None:
    books.take(Report(process, [ClientState(number, 0, ends, 0, 0, 0, 0)]))


def test_a_client_is_stuck_on_one_partition() -> None:
    """Records of one partition do not hide that none comes of another."""
    books = Books()
    take(books, 0, 3, [10, 10])
    begun = time.monotonic()
    assert books.stuck(LONG, begun) == []
    books.moved_at[3] = [begun - 2 * LONG] * 2
    take(books, 0, 3, [11, 10])
    assert books.stuck(LONG, begun) == [(3, 1)]
    take(books, 0, 3, [11, 11])
    assert books.stuck(LONG, begun) == []


def test_who_is_stopped_is_not_stuck() -> None:
    """Time counts from when it goes on."""
    books = Books()
    take(books, 1, 4, [10, 10])
    now = time.monotonic()
    span = books.begin("client stop", "clients-1", stopped=1)
    assert books.stuck(LONG, now + 2 * LONG) == []
    books.end(span)
    assert books.stuck(LONG, now + 2.5 * LONG) == []
    assert books.stuck(LONG, now + 4 * LONG) == [(4, 0), (4, 1)]
