"""`make chaos`: one run of faults, or with `SCENARIO=memory` the run that looks at memory.

`SECONDS` says how long (600; 120 for memory), `SEED` is where chance begins (a new one), `FAULTS='broker kill, edge
drain'` does only these, `RATE` is the number of records a second (5000; 2000 in a run of less than two minutes), and
the report also goes to the file `REPORT`. The exit code says whether the run was good. Logs stay in the folder that is
named at the end of a bad one.
"""

import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from tests.chaos.memory import MemoryRun
from tests.chaos.plan import SHORT, Fault, Plan
from tests.chaos.run import ChaosRun
from tests.chaos.system import BROKERS
from tests.kafka import jars
from tests.kafka.cluster import KafkaCluster
from tests.redis_server import RedisServer
from tests.stack.stack import ROOT

_SECONDS = {"faults": 600.0, "memory": 120.0}
_SHORTEST_LONG = 120.0
"""A run that is shorter than this has the faults of `make test`, which are felt for less long."""


class Verdict(Protocol):
    """The report of either scenario."""

    @property
    def is_good(self) -> bool:
        """Whether the run has passed."""

    def as_json(self) -> Mapping[str, Any]:
        """For a file."""


def _number(variable: str, default: float) -> float:
    text = os.environ.get(variable) or str(default)
    try:
        return float(text)
    except ValueError:
        raise SystemExit(f"{variable}: {text!r} is no number") from None


def _faults() -> tuple[Fault, ...]:
    names = [name.strip() for name in os.environ.get("FAULTS", "").split(",") if name.strip()]
    try:
        return tuple(Fault(name) for name in names) or tuple(Fault)
    except ValueError as error:
        raise SystemExit(f"FAULTS: {error}; there are: {', '.join(Fault)}") from None


def _say(text: str) -> None:
    print(text, flush=True)


def _run_faults(directory: Path, redis: RedisServer, seconds: float) -> Verdict:
    seed = int(_number("SEED", random.SystemRandom().randrange(1_000_000)))
    _say(f"seed {seed}")
    base = SHORT if seconds < _SHORTEST_LONG else Plan(seconds)
    plan = replace(base, seconds=seconds, faults=_faults(), rate=int(_number("RATE", base.rate)))
    with KafkaCluster(directory, brokers=3, settings=BROKERS) as kafka:
        return asyncio.run(ChaosRun(directory, kafka, redis, plan, seed, _say).run())


def _run_memory(directory: Path, redis: RedisServer, seconds: float) -> Verdict:
    with KafkaCluster(directory) as kafka:
        return asyncio.run(MemoryRun(directory, kafka, redis, seconds, _say).run())


_SCENARIOS = {"faults": _run_faults, "memory": _run_memory}


def main() -> int:
    """Runs, reports, and returns the exit code."""
    missing = jars.missing_requirement()
    if missing is not None:
        raise SystemExit(missing)
    scenario = os.environ.get("SCENARIO") or "faults"
    if scenario not in _SCENARIOS:
        raise SystemExit(f"SCENARIO: {scenario!r} is none of {', '.join(_SCENARIOS)}")
    seconds = _number("SECONDS", _SECONDS[scenario])
    directory = Path(tempfile.mkdtemp(prefix="kafka-ws-chaos-"))
    (directory / "redis").mkdir()
    redis = RedisServer(directory / "redis")
    redis.start()
    _say(f"logs in {directory}")
    try:
        verdict = _SCENARIOS[scenario](directory, redis, seconds)
    finally:
        redis.stop()
    report = Path(os.environ.get("REPORT") or ROOT / ".cache" / "chaos" / f"{scenario}.json")
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(verdict.as_json(), indent=2) + "\n")
    _say(f"\n{verdict}\n\nreport {report}")
    if not verdict.is_good:
        _say(f"logs {directory}")
        return 1
    shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
