"""The load client against a server that only sends: it must be able to take more than any scenario asks of it."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from tests.benchmarks.load_client import PROGRAMS, LoadClient
from tests.benchmarks.measurement import Measurement
from tests.benchmarks.scenario import Effort, Scenario
from tests.benchmarks.system import System, target
from tests.benchmarks.usage import CpuMeter

_FRAME_BYTES = 134
"""A record of the benchmarks and its header."""

_CHUNK_BYTES = 64 * 1024


def _alone(_: System, effort: Effort) -> list[Measurement]:
    measurements = []
    for sockets, full in ((1, 30_000_000), (1000, 50_000)):
        each = effort.amount(full)
        values, busy = [], []
        for _run in range(effort.runs):
            blast = subprocess.Popen(
                [PROGRAMS / "ws_blast", str(sockets), str(_FRAME_BYTES), str(_CHUNK_BYTES), str(each)],
                stdout=subprocess.PIPE,
                text=True,
            )
            assert blast.stdout is not None
            with (
                blast,
                tempfile.TemporaryDirectory() as directory,
                LoadClient(Path(directory), f"127.0.0.1:{blast.stdout.readline().strip()}", "any") as client,
            ):
                meter = CpuMeter({"client": client.pid})
                client.begin_open(sockets, [target("admin.any")])
                client.expect(sockets * each)
                client.wait_open()
                report = client.wait_expected(300)
                busy.append(meter.seconds()["client"] / report.seconds)
                values.append(report.frames / report.seconds)
        measurements.append(
            Measurement(
                f"client_alone.{sockets}",
                f"the load client alone, {sockets:,} socket{'s' if sockets > 1 else ''}",
                "frames/s",
                values,
                details={"client_cpu_share": busy},
            )
        )
    return measurements


SCENARIOS = (Scenario("client_alone", "the load client's own limit", _alone, needs_system=False),)
