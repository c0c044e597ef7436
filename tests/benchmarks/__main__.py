"""`make bench`: starts what is needed, runs the scenarios, prints the table, writes `benchmarks.json` and plots.

What is given on make's command line arrives as environment variables:

* `ONLY`: names of scenarios, separated by commas; default: all.
* `QUICK`: anything: a fifth of the work, one run; to see that everything works.
* `RUNS`: how often each figure is measured; default 3.
* `COMPARE`: a former `benchmarks.json`, shown beside.
* `OUT`: folder for the results; default `build/benchmarks`.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.benchmarks import measurement, plots
from tests.benchmarks.load_client import PROGRAMS
from tests.benchmarks.measurement import Measurement
from tests.benchmarks.scenario import Effort, Scenario
from tests.benchmarks.scenarios import client_alone, full_speed, idle, matching, paced, parts, replicas, soak, storm
from tests.benchmarks.system import System
from tests.benchmarks.table import explain, render
from tests.kafka import jars

SCENARIOS: tuple[Scenario, ...] = tuple(
    scenario
    for module in (client_alone, parts, matching, full_speed, paced, idle, storm, replicas, soak)
    for scenario in module.SCENARIOS
)

_EX_USAGE = 64


class _UsageError(Exception):
    """What was asked for makes no sense; the text says what to write instead."""


def _chosen(names: str) -> list[Scenario]:
    by_name = {scenario.name: scenario for scenario in SCENARIOS}
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in by_name:
            raise _UsageError(f"ONLY={names}: there is no scenario {name!r}, only {', '.join(by_name)}")
    return [by_name[name] for name in wanted] or list(SCENARIOS)


def _effort(runs: str, *, is_quick: bool) -> Effort:
    if not runs:
        return Effort(1 if is_quick else 3, is_quick)
    if not runs.isdecimal() or int(runs) < 1:
        raise _UsageError(f"RUNS={runs}: must be a number from 1")
    return Effort(int(runs), is_quick)


def _former(path: str) -> dict[str, Measurement] | None:
    if not path:
        return None
    try:
        return measurement.load(Path(path))
    except (OSError, ValueError) as error:
        raise _UsageError(f"COMPARE={path}: {error}") from None


def _about(effort: Effort) -> dict[str, Any]:
    """What a reader must know about the machine and the versions."""
    processors = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.partition(":")[2].strip() for line in processors if line.startswith("model name")), "")
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    packages = ("tornado", "grpcio", "protobuf", "confluent-kafka", "orjson", "uvloop")
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": commit.stdout.strip(),
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": f"{platform.python_version()}, {os.path.realpath(sys.executable)}",
        "packages": {name: version(name) for name in packages},
        "runs": effort.runs,
        "quick": effort.is_quick,
        "load_at_start": os.getloadavg()[0],
    }


def _run(system: System, scenarios: Sequence[Scenario], effort: Effort) -> list[Measurement]:
    measurements: list[Measurement] = []
    is_started = False
    try:
        for scenario in scenarios:
            if scenario.needs_system and not is_started:
                print("starting Kafka and Valkey", flush=True)
                is_started = True
                system.start()
            print(f"\n{scenario.name}: {scenario.title}", flush=True)
            began = time.monotonic()
            found = scenario.run(system, effort)
            print(render(found))
            for one in found:
                if text := explain(one):
                    print(f"  {one.title}. {text}")
            print(f"  took {time.monotonic() - began:.0f} s", flush=True)
            measurements += found
    finally:
        if is_started:
            system.stop()
    return measurements


def main() -> int:
    """Runs what the environment asks for; returns the exit code."""
    given = os.environ.get
    try:
        scenarios = _chosen(given("ONLY", ""))
        effort = _effort(given("RUNS", ""), is_quick=bool(given("QUICK")))
        former = _former(given("COMPARE", ""))
    except _UsageError as error:
        print(error, file=sys.stderr)
        return _EX_USAGE
    missing = jars.missing_requirement() if any(scenario.needs_system for scenario in scenarios) else None
    if missing is not None:
        print(missing, file=sys.stderr)
        return 1
    if not (PROGRAMS / "ws_load").exists():
        print(f"{PROGRAMS} has no load client: run `make bench`, which builds it", file=sys.stderr)
        return 1
    about = _about(effort)
    print(json.dumps(about, indent=1))
    with tempfile.TemporaryDirectory(prefix="kafka-ws-bench-") as directory:
        measurements = _run(System(Path(directory)), scenarios, effort)
    out = Path(given("OUT") or "build/benchmarks")
    measurement.save(out / "benchmarks.json", about, measurements)
    drawn = plots.draw_all(out, measurements)
    print(f"\n{render(measurements, former)}\n")
    print("written:", *(str(path) for path in (out / "benchmarks.json", *drawn)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
