"""Records at a steady rate: latency at low load (goal 4), and what many sockets on one stream stand (goal 3).

Latency is the time from the producer's `produce()` to the client's `recv()`: 1 ms of it is the producer's linger,
and what Kafka itself takes is measured beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.benchmarks.bare_consumer import latencies_ms
from tests.benchmarks.load_client import LoadClientError, Report
from tests.benchmarks.measurement import Better, Measurement
from tests.benchmarks.production import Production
from tests.benchmarks.scenario import Effort, Scenario
from tests.benchmarks.system import System, target
from tests.benchmarks.usage import CpuMeter

_WARM_UP_SEC = 2
_PATIENCE_SEC = 60.0
_KEEPS_UP = 0.98
"""Part of the deliveries that must come as fast as their records are produced; the rest is the clock's edges."""


def _run(
    system: System, sockets: int, rate: int, seconds: int, effort: Effort
) -> tuple[list[Report], dict[str, dict[str, float]]]:
    """Measures several times on one stack; also says what each process cost per record in the last run."""
    reports: list[Report] = []
    with system.topic() as topic, system.stack() as stack, system.load_client(stack) as client:
        client.open(sockets, [target(topic)])
        with Production(system.kafka.bootstrap, topic) as production:
            cost: dict[str, float] = {}
            for number in range(effort.runs + 1):
                records = rate * (_WARM_UP_SEC if number == 0 else seconds)
                production.prepare_pace(records, rate)
                client.reset()
                client.expect(records * sockets)
                meter = CpuMeter(system.pids(stack, client=client.pid, producer=production.pid))
                production.go()
                try:
                    report = client.wait_expected(records / rate + _PATIENCE_SEC)
                except LoadClientError:
                    # It has fallen behind by more than a minute, or lost sockets: that is a result, too.
                    report = client.report()
                cost = {name: 1e6 * spent / records for name, spent in meter.seconds().items()}
                production.wait()
                if number > 0:
                    reports.append(report)
    return reports, {"cpu_us_per_record": cost}


def _histogram(reports: Sequence[Report]) -> list[tuple[float, int]]:
    """(upper bound in ms, frames) over all runs."""
    counts: dict[float, int] = {}
    for report in reports:
        for bound, count in report.latency.buckets:
            counts[bound] = counts.get(bound, 0) + count
    return sorted(counts.items())


def _kafka_alone(system: System, effort: Effort, rate: int, seconds: int) -> list[Measurement]:
    """What of the latency is Kafka's, the producer's and this machine's."""
    runs = [latencies_ms(system, rate, seconds) for _ in range(effort.runs)]
    return [
        Measurement(
            f"latency.kafka.{name}",
            f"{rate} records/s, a Kafka consumer with nothing behind it: latency {name}",
            "ms",
            [latencies[int(share * len(latencies))] for latencies in runs],
            Better.LOWER,
        )
        for name, share in (("p50", 0.5), ("p99", 0.99))
    ]


def _latency(system: System, effort: Effort) -> list[Measurement]:
    measurements = _kafka_alone(system, effort, 200, effort.amount(15))
    for sockets in (1, 100):
        reports, details = _run(system, sockets, 200, effort.amount(15), effort)
        for name, goal, values in (
            ("p50", 2.0, [report.latency.p50 for report in reports]),
            ("p99", 5.0, [report.latency.p99 for report in reports]),
        ):
            measurements.append(
                Measurement(
                    f"latency.{sockets}.{name}",
                    f"200 records/s, {sockets} socket{'s' if sockets > 1 else ''}: latency {name}",
                    "ms",
                    values,
                    Better.LOWER,
                    goal,
                    {**details, "histogram": _histogram(reports)} if name == "p50" else {},
                )
            )
    return measurements


def _sustained(system: System, effort: Effort) -> list[Measurement]:
    measurements = []
    sockets = 1000
    for rate, goal in ((500, 40.0), (1000, 150.0), (2000, None)):
        reports, details = _run(system, sockets, rate, effort.amount(15), effort)
        title = f"{sockets:,} sockets at {rate:,} records/s"
        measurements += [
            Measurement(
                f"sustained.{rate}.deliveries",
                f"{title}: deliveries",
                "deliveries/s",
                [report.frames / report.seconds for report in reports],
                goal=_KEEPS_UP * rate * sockets,
                details={**details, "histogram": _histogram(reports)},
            ),
            Measurement(
                f"sustained.{rate}.p50",
                f"{title}: latency p50",
                "ms",
                [report.latency.p50 for report in reports],
                Better.LOWER,
            ),
            Measurement(
                f"sustained.{rate}.p99",
                f"{title}: latency p99",
                "ms",
                [report.latency.p99 for report in reports],
                Better.LOWER,
                goal,
            ),
        ]
    return measurements


SCENARIOS = (
    Scenario("latency", "latency at low load", _latency),
    Scenario("sustained", "one stream to 1,000 sockets at a steady rate", _sustained),
)
