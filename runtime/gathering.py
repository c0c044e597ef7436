"""Gathers what is asked for in one turn of the event loop, so that one message carries it instead of many.

Nothing waits for more to come: what is asked for alone goes alone, at the end of the turn. Turns grow longer as load
rises, and with them what one message carries.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")


class Question(Generic[RequestT, AnswerT]):
    """A request, and whoever awaits its answer. The first answer or error counts.

    Attributes:
        request: what is asked for.
    """

    __slots__ = ("_answer", "request")

    def __init__(self, request: RequestT, answer: "asyncio.Future[AnswerT]") -> None:
        """Answered through `answer`."""
        self.request = request
        self._answer = answer

    def answer(self, answer: AnswerT) -> None:
        """Gives the answer."""
        if not self._answer.done():
            self._answer.set_result(answer)

    def fail(self, error: Exception) -> None:
        """Gives an error instead."""
        if not self._answer.done():
            self._answer.set_exception(error)

    @property
    def is_over(self) -> bool:
        """Whether it is answered, or nobody waits any more."""
        return self._answer.done()


class Gathering(Generic[RequestT, AnswerT]):
    """Hands requests on in groups.

    Args:
        send: gets a group, and gives each of it an answer or an error. What it raises goes to the rest of the group.
        limit: weight of a group at most; a request that is heavier by itself goes alone.
        weigh: what a request weighs.
    """

    def __init__(
        self,
        send: "Callable[[list[Question[RequestT, AnswerT]]], Awaitable[None]]",
        limit: int,
        weigh: Callable[[RequestT], int] = lambda _request: 1,
    ) -> None:
        """Begins with nothing asked for."""
        self._send = send
        self._limit = limit
        self._weigh = weigh
        self._questions: list[Question[RequestT, AnswerT]] = []
        self._sending: set[asyncio.Task[None]] = set()

    async def ask(self, request: RequestT) -> AnswerT:
        """The answer to this request.

        Raises:
            Exception: what `send` has given instead, or raised.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[AnswerT] = loop.create_future()
        if not self._questions:
            loop.call_soon(self._start)
        self._questions.append(Question(request, answer))
        return await answer

    def _start(self) -> None:
        questions, self._questions = self._questions, []
        group: list[Question[RequestT, AnswerT]] = []
        weight = 0
        for question in questions:
            if question.is_over:
                continue
            added = self._weigh(question.request)
            if group and weight + added > self._limit:
                self._start_group(group)
                group, weight = [], 0
            group.append(question)
            weight += added
        if group:
            self._start_group(group)

    def _start_group(self, group: list[Question[RequestT, AnswerT]]) -> None:
        task = asyncio.create_task(self._run(group))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _run(self, group: list[Question[RequestT, AnswerT]]) -> None:
        error: Exception = RuntimeError("the request was sent and not answered")
        try:
            await self._send(group)
        except Exception as raised:
            error = raised
        finally:
            for question in group:
                question.fail(error)
