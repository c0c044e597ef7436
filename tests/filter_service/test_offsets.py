"""Where live reading may begin for a subscription that comes from elsewhere."""

import pytest

from filter_service.offsets import LIVE_DISTANCE, LIVE_MARGIN, Range

FAR = 1_000_000


@pytest.mark.parametrize(
    ("start", "end", "first", "begin"),
    [
        (FAR - 5_000, FAR, 0, FAR - 5_000 - LIVE_MARGIN),
        (FAR, FAR, 0, FAR - LIVE_MARGIN),
        (FAR + 7, FAR, 0, FAR - LIVE_MARGIN),
        (100, 200, 0, 0),
        (100, 200, 90, 90),
        (FAR - LIVE_DISTANCE, FAR, 0, FAR - LIVE_DISTANCE - LIVE_MARGIN),
        (FAR - LIVE_DISTANCE - 1, FAR, 0, None),
        (FAR, FAR, None, FAR),
        (FAR - 10, FAR, None, FAR - 10),
    ],
)
def test_live_reading_begins_near_the_end(start: int, end: int, first: int | None, begin: int | None) -> None:
    """Close to the end a subscription goes to the live reader, with room for those a little behind; else it does not.

    Never before the first record that there is; exactly where it begins if that is not known.
    """
    found = Range({3: start}, None, {3: end}, {} if first is None else {3: first})
    assert found.live_begin(3) == begin
