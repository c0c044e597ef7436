"""One round of every fault, on the real system: what `make chaos` does for longer."""

import asyncio
import json
import random
from pathlib import Path

import pytest

from tests.chaos.plan import SHORT
from tests.chaos.run import ChaosRun
from tests.chaos.system import BROKERS
from tests.conftest import StartKafka, StartRedis

_BOUND_SEC = 480.0
"""A run takes about two minutes. Its parts have bounds of their own, which add up to this."""


@pytest.mark.timeout(_BOUND_SEC + 60)
async def test_nothing_lost_nothing_twice(start_kafka: StartKafka, start_redis: StartRedis, tmp_path: Path) -> None:
    """Every client gets every matching record once and in order, whatever dies, stops or is cut meanwhile."""
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}, logs in {tmp_path}")
    kafka = await asyncio.to_thread(start_kafka, 3, BROKERS)
    redis = await asyncio.to_thread(start_redis)
    async with asyncio.timeout(_BOUND_SEC):
        verdict = await ChaosRun(tmp_path, kafka, redis, SHORT, seed, print).run()
    (tmp_path / "report.json").write_text(json.dumps(verdict.as_json(), indent=2))
    assert verdict.is_good, f"to be run again with `make chaos SECONDS=45 SEED={seed}`; logs in {tmp_path}\n{verdict}"
