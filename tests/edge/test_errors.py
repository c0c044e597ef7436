"""Close reasons fit into close frames."""

from hypothesis import given
from hypothesis import strategies as st

from edge.errors import REASONS, CloseCode, UnavailableError, cut_reason


@given(st.text())
def test_cut_reason(reason: str) -> None:
    """A reason is cut at 123 bytes between characters, and not at all when it fits."""
    cut = cut_reason(reason)
    encoded = reason.encode("utf-8", "replace")
    assert len(cut.encode()) <= 123
    assert encoded.startswith(cut.encode())
    assert len(encoded) <= 123 or len(cut.encode()) > 119
    assert len(encoded) > 123 or cut.encode() == encoded


def test_every_code_has_its_reason() -> None:
    """The texts of behaviour section 8; only that of 4410 differs from case to case, and comes from the filter."""
    assert REASONS.keys() == set(CloseCode) - {CloseCode.POSITION_GONE}
    assert REASONS[CloseCode.FORBIDDEN_TOPIC] == "Tenant can't access this topic"
    assert REASONS[CloseCode.EXPIRED_CONNECTION] == "Connection lifetime"
    assert REASONS[CloseCode.UNAVAILABLE] == "Server unavailable at this moment"


def test_unavailable_says_what_only_to_the_log() -> None:
    """The client is not told which part is away."""
    error = UnavailableError("ticket service")
    assert error.message == "Service Unavailable"
    assert "ticket service" in str(error)
