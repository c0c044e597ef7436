"""The form of resume credentials."""

import re

import pytest

from ticket_service.resume_credential import credential_digest, is_credential, new_credential


def test_new_credentials_have_the_promised_form_and_differ() -> None:
    """`kwr_` and at least 16 random bytes in URL-safe base64, without dots or padding, never the same twice."""
    credentials = {new_credential() for _ in range(1000)}
    assert len(credentials) == 1000
    for credential in credentials:
        assert is_credential(credential)
        assert re.fullmatch(r"kwr_[A-Za-z0-9_-]+", credential)
        assert len(credential.removeprefix("kwr_")) * 6 >= 16 * 8


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kwr_",
        "a" * 24,
        "a" * 28,
        "KWR_" + "a" * 24,
        "kwr_" + "a" * 23,
        "kwr_" + "a" * 25,
        "kwr_" + "a" * 24 + "\n",
        "kwr_" + "a" * 23 + "=",
        "kwr_" + "a" * 23 + "+",
        "kwr_" + "a" * 11 + "." + "a" * 12,
        "kwr_" + "é" * 24,
    ],
)
def test_other_texts_are_not_credentials(text: str) -> None:
    """What this service cannot have issued is told without asking the store."""
    assert not is_credential(text)


def test_digest_is_sha256_of_the_text() -> None:
    """The stored name is a one-way function of the credential."""
    digest = credential_digest("kwr_" + "A" * 24)
    assert digest.hex() == "22f48b84df8ddd56101db96591528883b27319c03bf71f6987cb2e720b4e575d"
