"""What finding the rules of a record costs, over the number and the kind of the rules.

Records come in slices, as a reader takes them from a full batch. Parsing is included, and so is the list of the rules
that match, each with its records.

Times are those of the thread on its core: what else the machine does makes them somewhat longer, and not many times.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Iterator, Mapping, Sequence

import orjson

from filter_service.documents import DocumentReader
from filter_service.language import Rule
from filter_service.matching import RuleEntry, RuleIndex
from filter_service.topic_rules import SLICE
from runtime import memory
from tests.benchmarks.measurement import Better, Measurement
from tests.benchmarks.scenario import Effort, Scenario
from tests.benchmarks.system import System
from tests.benchmarks.workloads import KINDS, Workload, workload

_COUNTS = (10, 100, 1000, 10_000, 100_000)
_GOALS_US = {10_000: 10.0, 100_000: 25.0}
_RATIO_GOAL = 2.5
"""10,000 rules against 10."""
_MANY = 100
"""Matches per record that are 1 % of 10,000 rules."""
_MANY_GOAL_US = 30.0
_RECORDS = 2000
_WARM_UP = 3
"""Rounds before the clock starts: the index learns what the records are like."""
_CHANGE_GOAL_MS = 1.0
_CHANGES = 2000


def _filled(rules: Sequence[Rule]) -> RuleIndex[int]:
    index: RuleIndex[int] = RuleIndex()
    for number, rule in enumerate(rules):
        index.add(rule, number)
    return index


def _match_us(work: Workload, effort: Effort) -> tuple[list[float], float]:
    """Time of a record for each run, and how many rules matched one on average."""
    index = _filled(work.rules)
    reader = DocumentReader()

    def match(payloads: Sequence[bytes]) -> Mapping[RuleEntry[int], list[int]]:
        documents = reader.read(payloads, index.names)
        assert documents is not None
        found = index.match_all(documents)
        reader.learn(documents)
        return found

    slices = [work.payloads[begin : begin + SLICE] for begin in range(0, len(work.payloads), SLICE)]
    run_sec = 0.1 if effort.is_quick else 0.5
    for _ in range(_WARM_UP):
        matches = sum([len(rows) for some in slices for rows in match(some).values()])
    gc.collect()
    gc.freeze()
    values = []
    for _ in range(max(effort.runs, 3)):
        rounds = 0
        began = now = time.thread_time()
        while now - began < run_sec:
            for some in slices:
                match(some)
            rounds += 1
            now = time.thread_time()
        values.append(1e6 * (now - began) / (rounds * len(work.payloads)))
    gc.unfreeze()
    return values, matches / len(work.payloads)


def _over_numbers(kind: str, effort: Effort) -> Iterator[Measurement]:
    medians = {}
    for count in _COUNTS:
        values, matches = _match_us(workload(kind, count, records=_RECORDS), effort)
        measurement = Measurement(
            f"matching.{kind.replace(' ', '_')}.{count}",
            f"{kind}, {count:,} rules, {matches:.1f} match",
            "µs",
            values,
            Better.LOWER,
            _GOALS_US.get(count),
            {"operator": kind, "rules": count, "matches": matches},
        )
        medians[count] = measurement.median
        yield measurement
    yield Measurement(
        f"matching.{kind.replace(' ', '_')}.ratio",
        f"{kind}, 10,000 rules against 10",
        "x",
        [medians[10_000] / medians[10]],
        Better.LOWER,
        _RATIO_GOAL,
    )


def _many_matches(kind: str, effort: Effort) -> Measurement:
    values, matches = _match_us(workload(kind, 10_000, _MANY, _RECORDS), effort)
    return Measurement(
        f"matching.{kind.replace(' ', '_')}.many",
        f"{kind}, 10,000 rules, {matches:.0f} match",
        "µs",
        values,
        Better.LOWER,
        _MANY_GOAL_US,
        {"matches": matches},
    )


def _changes(kind: str, effort: Effort) -> Iterator[Measurement]:
    """Rules that come and go one by one while records are matched, at 10,000."""
    count = 10_000
    changes = effort.amount(_CHANGES)
    work = workload(kind, count + changes, 5, _RECORDS)
    draw = random.Random(11)
    current = list(enumerate(work.rules[:count]))
    index = _filled(work.rules[:count])
    documents = [orjson.loads(payload) for payload in work.payloads]
    gc.collect()
    gc.freeze()
    came, went = [], []
    for number, rule in enumerate(work.rules[count:], count):
        began = time.thread_time()
        index.add(rule, number)
        came.append(time.thread_time() - began)
        place = draw.randrange(len(current))
        member, leaving = current[place]
        current[place] = (number, rule)
        began = time.thread_time()
        index.remove(leaving, member)
        went.append(time.thread_time() - began)
        for document in documents[number % 100 :: 100]:
            index.match(document)
    gc.unfreeze()
    for name, verb, seconds in (("add", "adding", came), ("remove", "removing", went)):
        seconds.sort()
        yield Measurement(
            f"matching.{kind.replace(' ', '_')}.{name}",
            f"{kind}, {verb} a rule at 10,000, p99",
            "ms",
            [1e3 * seconds[len(seconds) * 99 // 100]],
            Better.LOWER,
            _CHANGE_GOAL_MS,
            {"median_ms": 1e3 * seconds[len(seconds) // 2], "longest_ms": 1e3 * seconds[-1]},
        )


def _matching(_: System, effort: Effort) -> list[Measurement]:
    # As in the service: with Python's defaults the collector looks at all rules again and again.
    memory.tune()
    found: list[Measurement] = []
    for kind in KINDS:
        found += _over_numbers(kind, effort)
    found += [_many_matches("two ranges", effort), _many_matches("mix", effort)]
    for kind in KINDS:
        found += _changes(kind, effort)
    return found


SCENARIOS = (Scenario("matching", "finding the rules of a record", _matching, needs_system=False),)
