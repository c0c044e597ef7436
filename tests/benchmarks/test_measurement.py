from pathlib import Path

import pytest

from tests.benchmarks.measurement import Better, Measurement, compare, load, save
from tests.benchmarks.table import render


def test_the_median_decides_whether_a_goal_is_met() -> None:
    """One good run among bad ones meets no goal."""
    rate = Measurement("a.b", "speed", "records/s", [90, 95, 200], goal=100)
    latency = Measurement("a.c", "latency", "ms", [1, 6, 7], Better.LOWER, goal=5)
    assert rate.is_met is False
    assert latency.is_met is False
    assert Measurement("a.d", "latency", "ms", [4, 5, 9], Better.LOWER, goal=5).is_met is True


def test_what_was_saved_is_loaded_again(tmp_path: Path) -> None:
    """A former benchmarks.json gives the same measurements."""
    one = Measurement("a.b", "speed", "records/s", [1.5, 2.5], Better.LOWER, 2.0, {"sockets": 3})
    save(tmp_path / "out" / "benchmarks.json", {"cores": 2}, [one])
    assert load(tmp_path / "out" / "benchmarks.json") == {"a.b": one}


@pytest.mark.parametrize("text", ["", "[]", '{"measurements": [{"name": "a"}]}'])
def test_another_file_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    """A file that is no benchmarks.json gives a ValueError that names it."""
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"other\.json is not a benchmarks\.json"):
        load(path)


def test_a_change_is_clear_only_when_the_spreads_do_not_touch() -> None:
    """What may be chance is not called better or worse."""
    then = Measurement("a", "a", "s", [10, 11, 12], Better.LOWER)
    clear = compare(Measurement("a", "a", "s", [8, 9, 9.5], Better.LOWER), then)
    assert clear is not None
    assert clear.is_clear
    assert clear.is_better
    chance = compare(Measurement("a", "a", "s", [9, 12, 13], Better.LOWER), then)
    assert chance is not None
    assert not chance.is_clear
    single = compare(Measurement("a", "a", "s", [1], Better.LOWER), then)
    assert single is not None
    assert not single.is_clear


def test_the_table_shows_missed_goals_and_the_former_run() -> None:
    """A row holds result, spread, goal, verdict, and what it was before."""
    now = Measurement("a.b", "speed", "records/s", [1000, 2000, 3000], goal=5000)
    then = Measurement("a.b", "speed", "records/s", [100, 200, 300], goal=5000)
    row = render([now], {"a.b": then}).splitlines()[-1]
    assert " ".join(row.split()) == "speed 2,000 records/s 1,000 – 3,000 ≥ 5,000 MISSED 200 x 10.00 better"
