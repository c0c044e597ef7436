"""Redaction: secrets that somebody logs by mistake do not get out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.redaction import REDACTED, names_a_secret, redact_secrets
from ticket_service.resume_credential import new_credential

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzZXJ2aWNlIjoiYWRtaW4ifQ.c2lnbmF0dXJl"
TICKET = "0123456789abcdef" * 4
CREDENTIAL = "kwr_AbCd-_0123456789abcdefgh"


@pytest.mark.parametrize(
    "key", ["ticket", "token", "authorization", "Authorization", "redis_password", "X-Auth-Token", "hs256Secret", "jwt"]
)
def test_keys_of_secrets(key: str) -> None:
    """The last word of a key says whether its value is secret."""
    assert names_a_secret(key)
    assert redact_secrets(None, "info", {key: "value"}) == {key: REDACTED}


@pytest.mark.parametrize(
    "key", ["event", "ticket_address", "token_expires_at_ms", "secretary", "tickets_total", "", "_"]
)
def test_other_keys(key: str) -> None:
    """What is about a secret and is none stays readable."""
    assert redact_secrets(None, "info", {key: "value"}) == {key: "value"}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"got {TOKEN}!", ["got ", "!"]),
        (f"Authorization: Bearer {TOKEN}", ["Authorization: Bearer "]),
        ("authorization: basic dXNlcjpwYXNz", ["authorization: basic "]),
        (f"GET /kafka-ws/v1/topics/a.b?ticket={TICKET}&where=x", ["GET /kafka-ws/v1/topics/a.b?ticket=", "&where=x"]),
        ("GET /x?where=y&ticket=short", ["GET /x?where=y&ticket="]),
        (f"KeyError: '{TICKET}'", ["KeyError: '", "'"]),
        (
            f"Invalid header value 'AZd2hhdA.{CREDENTIAL}.AZd2aQ\x01'",
            ["Invalid header value 'AZd2hhdA.", ".AZd2aQ\x01'"],
        ),
        (f"Last-Event-ID: AZd2hhdA.{CREDENTIAL}", ["Last-Event-ID: AZd2hhdA."]),
        (f"id={CREDENTIAL}, kafka", ["id=", ", kafka"]),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", []),
        ("-----BEGIN EC PRIVATE KEY-----\nAAAA", []),
    ],
)
def test_secrets_inside_texts(text: str, kept: list[str]) -> None:
    """Tokens, tickets and keys are blanked where they stand, the rest is kept."""
    event = redact_secrets(None, "info", {"event": text})
    assert event == {"event": REDACTED.join(kept) if len(kept) > 1 else "".join(kept) + REDACTED}


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "GET /metrics?x=1",
        "a ticket was issued",
        "-----BEGIN PUBLIC KEY-----",
        "deadbeef",
        "Bearer",
        "kwr",
        "awkwr_",
    ],
)
def test_harmless_texts(text: str) -> None:
    """What holds no secret is left as it is."""
    assert redact_secrets(None, "info", {"event": text}) == {"event": text}


def test_structures_are_searched() -> None:
    """Secrets in lists and mappings, as bytes, in other objects' texts are found; plain values stay."""

    class Request:
        def __repr__(self) -> str:
            return f"<Request ticket={TICKET}>"

    event = {
        "event": "x",
        "headers": {"Authorization": "Basic x", "Accept": "*"},
        "list": [f"?ticket={TICKET}", 1, None, True],
        "bytes": TOKEN.encode(),
        "request": Request(),
        "count": 3,
    }
    assert redact_secrets(None, "info", event) == {
        "event": "x",
        "headers": {"Authorization": REDACTED, "Accept": "*"},
        "list": [f"?ticket={REDACTED}", 1, None, True],
        "bytes": REDACTED,
        "request": f"<Request ticket={REDACTED}>",
        "count": 3,
    }


def test_deep_structures_end() -> None:
    """A structure that holds itself does not hang the log."""
    loop: list[object] = []
    loop.append(loop)
    assert REDACTED in str(redact_secrets(None, "info", {"event": loop}))


@given(st.text(), st.text(), st.sampled_from([TOKEN, TICKET, CREDENTIAL]))
def test_a_secret_is_never_written(before: str, after: str, secret: str) -> None:
    """Whatever stands around it."""
    event = redact_secrets(None, "info", {"event": f"{before} {secret} {after}"})
    assert secret not in str(event["event"])


def test_every_new_resume_credential_is_known() -> None:
    """What the ticket service issues is what redaction looks for, alone and as browsers send it back."""
    for _ in range(1000):
        credential = new_credential()
        assert redact_secrets(None, "info", {"event": credential}) == {"event": REDACTED}
        assert redact_secrets(None, "info", {"event": f"AQ_-.{credential}.AQ"}) == {"event": f"AQ_-.{REDACTED}.AQ"}
