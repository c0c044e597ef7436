"""Full speed: how many records, or deliveries, a second the live path carries (goals 2 and 3).

The sockets are open and at the end of the topic when all records become visible at once: they were written in one
transaction, which is then committed. So Kafka's log, the live reader, gRPC, the edge and the sockets are measured,
and no producer takes a share of the two cores. `beside` does without that: a producer writes at full speed meanwhile.
The clock runs from the first frame a client gets to the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.benchmarks.load_client import Report
from tests.benchmarks.measurement import Measurement
from tests.benchmarks.production import Production
from tests.benchmarks.record_maker import STEPS, TENTH, single
from tests.benchmarks.scenario import Effort, Scenario
from tests.benchmarks.system import System, target
from tests.benchmarks.usage import CpuMeter

_TIMEOUT_SEC = 300.0
_WARM_UP_SHARE = 5


def _rounded(records: int) -> int:
    """So that every condition passes an exact share."""
    return max(STEPS, records // STEPS * STEPS)


def _run_once(
    system: System, sockets: int, wheres: Sequence[str], records: int, frames: int, effort: Effort, *, beside: bool
) -> tuple[list[Report], list[dict[str, float]]]:
    """Measures several times on one stack, after a warm-up that is not counted.

    Args:
        frames: to be expected from `records` records, over all sockets.
    """
    reports, costs = [], []
    with system.topic() as topic, system.stack() as stack, system.load_client(stack) as client:
        client.open(sockets, [target(topic, where) for where in wheres])
        with Production(system.kafka.bootstrap, topic) as production:
            for number in range(effort.runs + 1):
                count = _rounded(records // _WARM_UP_SHARE) if number == 0 else records
                if beside:
                    production.prepare_pace(count, rate=0)
                else:
                    production.prepare_commit(count)
                client.reset()
                client.expect(frames * count // records)
                meter = CpuMeter(system.pids(stack, client=client.pid, producer=production.pid))
                production.go()
                report = client.wait_expected(_TIMEOUT_SEC)
                spent = meter.seconds()
                production.wait()
                if number > 0:
                    reports.append(report)
                    costs.append({name: 1e6 * seconds / count for name, seconds in spent.items()})
    return reports, costs


def _details(costs: list[dict[str, float]], **more: Any) -> dict[str, Any]:
    names = ("kafka", "filter-1", "edge-1", "client", "producer")
    return {
        "cpu_us_per_record": {name: sorted(cost[name] for cost in costs)[len(costs) // 2] for name in names},
        **more,
    }


def _one_socket(system: System, effort: Effort) -> list[Measurement]:
    measurements = []
    for name, title, where, goal, full in (
        ("plain", "1 socket, no filter", "", 200_000, 1_500_000),
        ("tenth", "1 socket, a condition that passes 10 %", TENTH, 300_000, 2_500_000),
    ):
        records = _rounded(effort.amount(full))
        frames = records if not where else records // 10
        for beside in (False, True):
            reports, costs = _run_once(system, 1, [where], records, frames, effort, beside=beside)
            measurements.append(
                Measurement(
                    f"one_socket.{name}{'_beside' if beside else ''}",
                    f"{title}{', producer beside' if beside else ''}",
                    "records/s",
                    [records / report.seconds for report in reports],
                    goal=goal,
                    details=_details(costs, records=records),
                )
            )
    return measurements


def _fan_out(system: System, effort: Effort) -> list[Measurement]:
    measurements = []
    for sockets, full in ((1, 1_500_000), (10, 1_000_000), (100, 300_000), (1000, 60_000), (5000, 10_000)):
        if effort.is_quick and sockets not in (1, 1000):
            continue
        records = _rounded(effort.amount(full))
        reports, costs = _run_once(system, sockets, [""], records, records * sockets, effort, beside=False)
        measurements.append(
            Measurement(
                f"fan_out.{sockets}",
                f"{sockets:,} sockets, one stream, full speed",
                "deliveries/s",
                [report.frames / report.seconds for report in reports],
                goal=5_000_000 if sockets == 1000 else None,
                details=_details(costs, sockets=sockets, records=records),
            )
        )
    return measurements


def _many_filters(system: System, effort: Effort) -> list[Measurement]:
    records = _rounded(effort.amount(1_000_000))
    wheres = [single(step) for step in range(STEPS)]
    reports, costs = _run_once(system, len(wheres), wheres, records, records, effort, beside=False)
    return [
        Measurement(
            "many_filters.1000",
            "1,000 sockets, 1,000 different filters, each passes 0.1 %",
            "records/s",
            [records / report.seconds for report in reports],
            goal=150_000,
            details=_details(costs, records=records),
        )
    ]


SCENARIOS = (
    Scenario("one_socket", "one socket at full speed", _one_socket),
    Scenario("fan_out", "one stream to many sockets at full speed", _fan_out),
    Scenario("many_filters", "as many filters as sockets at full speed", _many_filters),
)
