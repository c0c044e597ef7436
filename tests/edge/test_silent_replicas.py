"""Filter replicas that are out of reach while their connections stand, and such that have nothing to say."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from edge import filter_session
from tests.edge.conftest import MakeSystem, System, eventually

LOOK_SEC = 0.02
SIGN_SEC = 0.005


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filter_session, "_LOOK_SEC", LOOK_SEC)


@asynccontextmanager
async def signs_of_life(system: System) -> AsyncIterator[Callable[[], int]]:
    """All replicas give signs of life meanwhile; yields what says how many they have given."""
    given = 0

    async def give() -> None:
        nonlocal given
        while True:
            for replica in system.replicas:
                replica.give_sign_of_life()
            given += 1
            await asyncio.sleep(SIGN_SEC)

    giving = asyncio.create_task(give())
    try:
        yield lambda: given
    finally:
        giving.cancel()


async def test_a_silent_replica_is_left(make_system: MakeSystem) -> None:
    """What it served goes on at another one from its position; when it speaks again it is used again."""
    system = await make_system(replicas=2)
    async with signs_of_life(system):
        socket = await system.connect()
        system.logs.write("admin.t", b'{"n":0}')
        assert await socket.value() == {"n": 0}
        silent = system.holder()
        silent.speaks.clear()
        system.logs.write("admin.t", b'{"n":1}')
        system.logs.write("admin.t", b'{"n":2}')
        assert await socket.values(2) == [{"n": 1}, {"n": 2}]
        silent.speaks.set()
        await eventually(lambda: len(silent.sessions) == 1 and silent.open_count, "the replica serves again")
        system.logs.write("admin.t", b'{"n":3}')
        assert await socket.value() == {"n": 3}


async def test_a_quiet_replica_is_not_left(make_system: MakeSystem) -> None:
    """Signs of life are enough: a topic without records is no reason to go."""
    system = await make_system()
    async with signs_of_life(system) as given:
        socket = await system.connect()
        many = 3 * filter_session._SILENT_LOOKS * round(LOOK_SEC / SIGN_SEC)
        await eventually(lambda: given() > many, "many signs of life")
        assert len(system.replicas[0].opens) == 1
        system.logs.write("admin.t", b'{"n":0}')
        assert await socket.value() == {"n": 0}
