"""Who has to wait for those who came before."""

import asyncio

from filter_service.backpressure import Backpressure

LIMIT = 3


async def test_the_limit_holds_and_the_order_is_kept() -> None:
    """As many go on as there is room for, the others when something has been done, and nobody overtakes."""
    undone: list[int] = []
    came: list[int] = []
    is_full = asyncio.Event()
    backpressure = Backpressure(lambda: len(undone), LIMIT)

    async def ask(number: int) -> None:
        await backpressure.room()
        came.append(number)
        undone.append(number)
        assert len(undone) <= LIMIT
        if len(undone) == LIMIT:
            is_full.set()

    async with asyncio.TaskGroup() as everybody:
        for number in range(4 * LIMIT):
            everybody.create_task(ask(number))
        for _ in range(4):
            await is_full.wait()
            is_full.clear()
            undone.clear()
    assert came == list(range(4 * LIMIT))


async def test_who_gives_up_is_in_nobodys_way() -> None:
    """The first of those who wait is cancelled, and the next one goes on when there is room."""
    undone = LIMIT
    backpressure = Backpressure(lambda: undone, LIMIT)
    first, second = asyncio.create_task(backpressure.room()), asyncio.create_task(backpressure.room())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert not second.done()
    undone = 0
    await second
