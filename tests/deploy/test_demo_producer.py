"""The made-up plant: records worth looking at through a filter."""

import json
from collections import Counter
from typing import Any

from deploy.local.demo_producer import RECORDS_PER_SEC, Plant

SENSORS = [f"sensor-{number:02}" for number in range(1, 13)]


def minutes_of(plant: Plant, minutes: int) -> list[Any]:
    """The values that the producer would write in this time."""
    count = round(minutes * 60 * RECORDS_PER_SEC)
    return [json.loads(plant.next_record(1e9 + number / RECORDS_PER_SEC)[1]) for number in range(count)]


def test_sensors_report_in_turn_under_their_names() -> None:
    """Every sensor reports as often as the others, and the record's key is its name."""
    plant = Plant(seed=1)
    records = [plant.next_record(now=1000.0) for _ in range(24)]
    assert [key.decode() for key, _ in records] == SENSORS * 2
    assert [json.loads(value)["sensor"]["id"] for _, value in records] == SENSORS * 2


def test_the_filter_of_the_printed_command_always_has_something_to_pass_and_to_drop() -> None:
    """Whoever tries it sees data within seconds, and less than without a filter."""
    window = round(5 * RECORDS_PER_SEC)
    records = minutes_of(Plant(seed=2), 10)
    for start in range(0, len(records) - window, window):
        passed = sum(record["temperature"] >= 25 for record in records[start : start + window])
        assert 0 < passed < window


def test_troubles_are_rare_but_happen() -> None:
    """In some minutes one sees failed and stopped sensors among many that are well."""
    seen = Counter(record["sensor"]["status"] for record in minutes_of(Plant(seed=3), 5))
    assert set(seen) == {"ok", "failed", "stopped"}
    assert seen["ok"] > 0.7 * seen.total()
