import json

from tests.benchmarks.record_maker import STEPS, TENTH, record, single, temperature
from tests.properties.naive import matches


def test_records_are_json_of_about_130_bytes_that_begins_with_the_time() -> None:
    """The load client finds the time of production at the begin of each record."""
    made = record(123_456, 1_700_000_000_000)
    assert made.startswith(b'{"t":1700000000000,')
    assert json.loads(made)["number"] == 123_456
    assert 120 <= len(made) <= 140


def test_conditions_pass_the_share_they_name() -> None:
    """In any STEPS records in a row, a tenth passes TENTH, and each single() passes one, a different one."""
    rows = [json.loads(record(number)) for number in range(7, 7 + STEPS)]
    assert sum(matches(TENTH, row) for row in rows) == STEPS // 10
    passed = [[row["number"] for row in rows if matches(single(step), row)] for step in range(0, STEPS, 97)]
    assert all(len(numbers) == 1 for numbers in passed)
    assert sorted(temperature(number) for number in range(STEPS)) == [step / 10 for step in range(STEPS)]
