"""Many questions, few requests: who shares which, and what happens when one fails or its asker goes away."""

import asyncio

import pytest

from filter_service.coalescing import Coalescer


class Requests:
    """Requests that wait until they are let go; the answer to a key is the number of the request."""

    def __init__(self) -> None:
        self.sent: list[set[str]] = []
        self.fail = False
        self._gate = asyncio.Event()

    async def __call__(self, keys: list[str]) -> dict[str, int]:
        """One request."""
        assert len(keys) == len(set(keys))
        self.sent.append(set(keys))
        number = len(self.sent)
        await self._gate.wait()
        if self.fail:
            raise ConnectionError(f"request {number}")
        return dict.fromkeys(keys, number)

    def answer(self) -> None:
        """Let all of them go, now and later."""
        self._gate.set()

    async def in_flight(self, count: int) -> None:
        """Wait until so many were sent."""
        while len(self.sent) < count:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_questions_of_one_moment_are_one_request() -> None:
    """However many ask, each key is asked for once."""
    requests = Requests()
    coalescer = Coalescer(requests)
    asked = [asyncio.create_task(coalescer.ask({"a", str(number % 3)})) for number in range(1_000)]
    await requests.in_flight(1)
    requests.answer()
    answers = await asyncio.gather(*asked)
    assert requests.sent == [{"a", "0", "1", "2"}]
    assert all(answer == {"a": 1, str(number % 3): 1} for number, answer in enumerate(answers))


async def test_who_comes_later_shares_the_next() -> None:
    """An answer is never older than its question: a request in flight serves nobody who asks now."""
    requests = Requests()
    coalescer = Coalescer(requests)
    first = asyncio.create_task(coalescer.ask(["a"]))
    await requests.in_flight(1)
    later = [asyncio.create_task(coalescer.ask([key])) for key in ("a", "b", "b")]
    await settle()
    assert len(requests.sent) == 1
    requests.answer()
    assert await first == {"a": 1}
    assert await asyncio.gather(*later) == [{"a": 2}, {"b": 2}, {"b": 2}]
    assert await coalescer.ask(["a"]) == {"a": 3}
    assert requests.sent == [{"a"}, {"a", "b"}, {"a"}]


async def test_nothing_is_asked_for_nothing() -> None:
    """An empty question costs no request."""
    requests = Requests()
    assert await Coalescer(requests).ask([]) == {}
    assert requests.sent == []


async def test_a_request_that_fails() -> None:
    """Everybody who shared it is told, and the next question is a new request."""
    requests = Requests()
    requests.fail = True
    coalescer = Coalescer(requests)
    asked = [asyncio.create_task(coalescer.ask([key])) for key in "ab"]
    await requests.in_flight(1)
    waiting = asyncio.create_task(coalescer.ask(["c"]))
    await settle()
    requests.answer()
    for task in asked:
        with pytest.raises(ConnectionError, match="request 1"):
            await task
    with pytest.raises(ConnectionError, match="request 2"):
        await waiting
    requests.fail = False
    assert await coalescer.ask(["a"]) == {"a": 3}


async def test_an_asker_that_goes_away() -> None:
    """Others who share its request are answered, before and after it was sent."""
    requests = Requests()
    coalescer = Coalescer(requests)
    gone = [asyncio.create_task(coalescer.ask(["a"]))]
    await requests.in_flight(1)
    gone.append(asyncio.create_task(coalescer.ask(["b"])))
    staying = asyncio.create_task(coalescer.ask(["b", "c"]))
    await settle()
    for task in gone:
        task.cancel()
    await settle()
    requests.answer()
    assert await staying == {"b": 2, "c": 2}
    assert all(task.cancelled() for task in gone)
