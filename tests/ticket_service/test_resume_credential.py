"""The form of resume credentials."""

import re

import pytest

from ticket_service.resume_credential import credential_digest, is_credential, new_credential


def test_new_credentials_have_the_promised_form_and_differ() -> None:
    """A credential is at least 16 random bytes in URL-safe base64, without dots or padding, never the same twice."""
    credentials = {new_credential() for _ in range(1000)}
    assert len(credentials) == 1000
    for credential in credentials:
        assert is_credential(credential)
        assert re.fullmatch(r"[A-Za-z0-9_-]+", credential)
        assert len(credential) * 6 >= 16 * 8


@pytest.mark.parametrize(
    "text",
    ["", "a" * 23, "a" * 25, "a" * 24 + "\n", "a" * 23 + "=", "a" * 23 + "+", "a" * 11 + "." + "a" * 12, "é" * 24],
)
def test_other_texts_are_not_credentials(text: str) -> None:
    """What this service cannot have issued is told without asking the store."""
    assert not is_credential(text)


def test_digest_is_sha256_of_the_text() -> None:
    """The stored name is a one-way function of the credential."""
    digest = credential_digest("A" * 24)
    assert digest.hex() == "1bda9f0aed80857d43c9329457f28b1ca29f736a0c539901e1ba16a909eb07b4"
