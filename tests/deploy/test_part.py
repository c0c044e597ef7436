import pytest

from deploy.local.part import Backoff, describe_exit


def test_the_pause_grows_with_each_crash_up_to_a_limit() -> None:
    """A part that crashes again and again is started less and less often, with pauses up to a limit."""
    backoff = Backoff(initial=1, longest=8)
    assert [backoff.next_delay(ran_for=0) for _ in range(5)] == [1, 2, 4, 8, 8]


def test_a_long_run_makes_earlier_crashes_forgotten() -> None:
    """A part that has run well for a while is started at once, as after its first crash."""
    backoff = Backoff(initial=1, longest=8, forgiven_after=60)
    assert [backoff.next_delay(ran_for) for ran_for in (0, 59.9, 60, 0)] == [1, 2, 1, 2]


@pytest.mark.parametrize(
    ("status", "words"), [(0, "exited with code 0"), (78, "exited with code 78"), (-9, "was killed by signal 9")]
)
def test_an_exit_is_told_in_words(status: int, words: str) -> None:
    """What a person reads says whether a part ended by itself or was killed."""
    assert describe_exit(status) == words
