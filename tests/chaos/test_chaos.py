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


# Its parts have bounds of their own; a machine that is busy with other things may be slow.
@pytest.mark.timeout(300)
async def test_nothing_lost_nothing_twice(start_kafka: StartKafka, start_redis: StartRedis, tmp_path: Path) -> None:
    """Every client gets every matching record once and in order, whatever dies, stops or is cut meanwhile."""
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")
    kafka = await asyncio.to_thread(start_kafka, 3, BROKERS)
    redis = await asyncio.to_thread(start_redis)
    verdict = await ChaosRun(tmp_path, kafka, redis, SHORT, seed, print).run()
    (tmp_path / "report.json").write_text(json.dumps(verdict.as_json(), indent=2))
    print(f"\n{verdict}")
    assert verdict.is_good
