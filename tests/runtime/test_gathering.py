"""Requests of one turn of the event loop go together, and each gets its own answer."""

import asyncio

import pytest

from runtime.gathering import Gathering, Question

Group = list[Question[int, str]]


class Peer:
    """Answers with the request's text, once it is told to; keeps what it was sent."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def send(self, group: Group) -> None:
        self.groups.append([question.request for question in group])
        await self.may_answer.wait()
        for question in group:
            question.answer(str(question.request))


async def test_what_one_turn_asks_goes_together() -> None:
    """A turn is a group, in the order of asking; the next turn is another."""
    peer = Peer()
    gathering = Gathering(peer.send, limit=100)
    assert list(await asyncio.gather(*map(gathering.ask, (3, 1, 2)))) == ["3", "1", "2"]
    assert await gathering.ask(4) == "4"
    assert peer.groups == [[3, 1, 2], [4]]


async def test_a_group_does_not_wait_for_the_one_before() -> None:
    """What is asked while others wait for their answer is sent at once."""
    peer = Peer()
    peer.may_answer.clear()
    gathering = Gathering(peer.send, limit=100)
    first = asyncio.create_task(gathering.ask(1))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(gathering.ask(2))
    await asyncio.sleep(0.01)
    assert peer.groups == [[1], [2]]
    peer.may_answer.set()
    assert list(await asyncio.gather(first, second)) == ["1", "2"]


async def test_groups_have_a_limit() -> None:
    """Requests are weighed; one that is too heavy for any group goes alone."""
    peer = Peer()
    gathering = Gathering(peer.send, limit=10, weigh=lambda request: request)
    await asyncio.gather(*map(gathering.ask, (4, 6, 1, 99, 10, 3)))
    assert peer.groups == [[4, 6], [1], [99], [10], [3]]


async def test_each_has_an_answer_or_an_error_of_its_own() -> None:
    """One request's error is nobody else's, and the first answer is the one that counts."""

    async def send(group: Group) -> None:
        for question in group:
            if question.request % 2:
                question.fail(KeyError(question.request))
            question.answer(str(question.request))

    gathering = Gathering(send, limit=100)
    answers = await asyncio.gather(*map(gathering.ask, (0, 1, 2, 3)), return_exceptions=True)
    assert [answers[0], answers[2]] == ["0", "2"]
    assert [repr(answers[1]), repr(answers[3])] == ["KeyError(1)", "KeyError(3)"]


async def test_what_sending_raises_goes_to_those_without_an_answer() -> None:
    """Nobody waits for ever, and an answer that has come stays good."""

    async def send(group: Group) -> None:
        group[0].answer("here")
        raise ConnectionError("broken")

    gathering = Gathering(send, limit=100)
    first, second = await asyncio.gather(gathering.ask(1), gathering.ask(2), return_exceptions=True)
    assert first == "here"
    assert isinstance(second, ConnectionError)


async def test_a_request_that_is_not_answered_is_an_error() -> None:
    """Also when sending believes that it has done everything."""

    async def send(group: Group) -> None:
        pass

    with pytest.raises(RuntimeError, match="not answered"):
        await Gathering(send, limit=100).ask(1)


async def test_a_request_that_was_given_up_is_not_sent() -> None:
    """Unless it has been sent already; the others get their answers."""
    peer = Peer()
    gathering = Gathering(peer.send, limit=100)
    tasks = [asyncio.create_task(gathering.ask(number)) for number in range(3)]
    asyncio.get_running_loop().call_soon(tasks[1].cancel)
    assert list(await asyncio.gather(tasks[0], tasks[2])) == ["0", "2"]
    assert tasks[1].cancelled()
    assert peer.groups == [[0, 2]]
    peer.may_answer.clear()
    late, kept = asyncio.create_task(gathering.ask(7)), asyncio.create_task(gathering.ask(8))
    await asyncio.sleep(0.01)
    late.cancel()
    peer.may_answer.set()
    assert await kept == "8"
    assert peer.groups[1:] == [[7, 8]]
