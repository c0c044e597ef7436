"""Grants as stored: nothing that this service did not write, for this very ticket, is believed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticket_service.grant import ForgedGrantError, Grant, Purpose, grant_key, seal, unseal

KEY = grant_key("a secret")
DIGEST = b"d" * 32
GRANT = Grant("admin", 1_700_000_060_000, 1_700_000_000_000)


@given(
    st.text(min_size=1),
    st.integers(0, 2**62),
    st.integers(0, 2**62),
    st.none() | st.text(),
    st.sampled_from(Purpose),
)
def test_unsealing_gives_back_what_was_sealed(
    tenant: str, token_expiry: int, expiry: int, topic: str | None, purpose: Purpose
) -> None:
    """A grant survives the way through the store unchanged."""
    grant = Grant(tenant, token_expiry, expiry, topic)
    assert unseal(seal(grant, purpose, DIGEST, KEY), purpose, DIGEST, KEY) == grant


@given(st.integers(min_value=0), st.integers(1, 255))
def test_any_changed_byte_is_noticed(position: int, flip: int) -> None:
    """Version, code and body are all authenticated."""
    sealed = bytearray(seal(GRANT, Purpose.TICKET, DIGEST, KEY))
    sealed[position % len(sealed)] ^= flip
    with pytest.raises(ForgedGrantError):
        unseal(bytes(sealed), Purpose.TICKET, DIGEST, KEY)


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused(stored: bytes) -> None:
    """Whatever others have written is a forgery, never a crash."""
    with pytest.raises(ForgedGrantError):
        unseal(stored, Purpose.TICKET, DIGEST, KEY)


def test_grants_cannot_be_swapped_between_tickets() -> None:
    """A true grant copied under another ticket's name is worthless there."""
    with pytest.raises(ForgedGrantError):
        unseal(seal(GRANT, Purpose.TICKET, DIGEST, KEY), Purpose.TICKET, b"e" * 32, KEY)


@pytest.mark.parametrize(("sealed_for", "presented_as"), [tuple(Purpose), tuple(reversed(Purpose))])
def test_grants_cannot_be_used_for_another_purpose(sealed_for: Purpose, presented_as: Purpose) -> None:
    """A resume credential's grant is none for a ticket, and the other way round."""
    with pytest.raises(ForgedGrantError):
        unseal(seal(GRANT, sealed_for, DIGEST, KEY), presented_as, DIGEST, KEY)


def test_another_secret_opens_nothing() -> None:
    """Only services with the same secret believe each other's grants."""
    with pytest.raises(ForgedGrantError):
        unseal(seal(GRANT, Purpose.TICKET, DIGEST, KEY), Purpose.TICKET, DIGEST, grant_key("another secret"))


def test_the_sealing_key_is_not_the_secret() -> None:
    """A secret that also verifies tokens is used for one of the two only, through a derived key."""
    secret = "s" * 32
    assert grant_key(secret) != secret.encode()
    assert len(grant_key(secret)) == 32


def test_no_code_no_belief() -> None:
    """A plausible body without the right code is refused."""
    body = json.dumps({"tenant": "victim", "token_exp": 2**50, "exp": 2**50}).encode()
    with pytest.raises(ForgedGrantError):
        unseal(b"\x01" + bytes(32) + body, Purpose.TICKET, DIGEST, KEY)
