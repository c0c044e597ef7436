"""Keys and the algorithms they are bound to."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.ticket_service.issuer import private_key, public_pem, published
from ticket_service.verification_keys import (
    UnusableKeyError,
    pem_keys,
    published_key,
    secret_key,
    supported_algorithms,
)

NOTHING_PINNED: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [("rsa", "RS256"), ("p256", "ES256"), ("p384", "ES384"), ("p521", "ES512"), ("k256", "ES256K"), ("ed", "EdDSA")],
)
def test_a_public_key_is_bound_to_the_algorithm_of_its_kind(name: str, algorithm: str) -> None:
    """Without pinning, RSA means RS256, and every curve its own algorithm."""
    (key,) = pem_keys(public_pem(name), NOTHING_PINNED)
    assert key.algorithms == {algorithm}


def test_pinning_chooses_among_the_algorithms_of_the_kind() -> None:
    """A pinned algorithm of another kind gives a key nothing to do."""
    pinned = frozenset({"PS256", "RS512", "HS256", "ES256"})
    assert pem_keys(public_pem("rsa"), pinned)[0].algorithms == {"PS256", "RS512"}
    assert pem_keys(public_pem("p384"), pinned)[0].algorithms == frozenset()
    assert secret_key("s" * 32, pinned).algorithms == {"HS256"}
    assert secret_key("s" * 32, frozenset({"HS512"})).algorithms == {"HS512"}


def test_none_cannot_be_pinned() -> None:
    """The unsigned algorithm is not among those that configuration may name."""
    assert "none" not in supported_algorithms()
    assert {"HS256", "RS256", "PS256", "ES256", "EdDSA"} <= supported_algorithms()


def test_several_pem_blocks_are_several_keys() -> None:
    """An old and a new key can be valid side by side."""
    keys = pem_keys(public_pem("rsa") + "\n" + public_pem("p256"), NOTHING_PINNED)
    assert [key.algorithms for key in keys] == [{"RS256"}, {"ES256"}]


def test_a_pem_on_one_line_is_understood() -> None:
    """Environment files keep line breaks as backslash and n."""
    (key,) = pem_keys(public_pem("p256").replace("\n", "\\n"), NOTHING_PINNED)
    assert key.algorithms == {"ES256"}


def test_a_certificate_gives_its_public_key() -> None:
    """What identity providers offer for download is often a certificate."""
    key = private_key("rsa")
    assert isinstance(key, rsa.RSAPrivateKey)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
        .sign(key, SHA256())
        .public_bytes(Encoding.PEM)
        .decode()
    )
    assert pem_keys(certificate, NOTHING_PINNED)[0].algorithms == {"RS256"}


def test_unusable_pems_are_refused_without_quoting_them() -> None:
    """Private keys, other kinds and garbage are told apart, and never shown."""
    private = private_key("rsa").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(UnusableKeyError, match="private key") as raised:
        pem_keys(private, NOTHING_PINNED)
    assert private.splitlines()[1] not in str(raised.value)
    other = dsa.generate_private_key(2048).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(UnusableKeyError, match="not RSA, EC"):
        pem_keys(other.decode(), NOTHING_PINNED)
    with pytest.raises(UnusableKeyError, match="no PEM block"):
        pem_keys("hello", NOTHING_PINNED)
    with pytest.raises(UnusableKeyError, match="not a public key"):
        pem_keys("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", NOTHING_PINNED)


def test_a_public_key_is_no_shared_secret() -> None:
    """A public key put into the secret's variable would let everybody sign."""
    with pytest.raises(UnusableKeyError, match="not a shared secret"):
        secret_key(public_pem("rsa"), NOTHING_PINNED)


def test_short_keys_are_used_with_a_warning() -> None:
    """RFC 7518 asks for 256 bits of secret and 2048 of RSA."""
    assert "5 bytes" in secret_key("short", NOTHING_PINNED).weakness
    assert secret_key("s" * 32, NOTHING_PINNED).weakness == ""
    weak = rsa.generate_private_key(65537, 1024).public_key()
    pem = weak.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert "1024 bits" in pem_keys(pem, NOTHING_PINNED)[0].weakness


def test_keys_do_not_show_in_texts() -> None:
    """The representation of a key, as a log or a traceback may hold it, is without the secret."""
    assert "s3cret" not in repr(secret_key("s3cret" * 8, NOTHING_PINNED))


def test_published_keys_suit_all_algorithms_of_their_kind_or_the_named_one() -> None:
    """A JWK's own `alg` narrows what it is used for."""
    free = published_key(published("rsa", "k"), NOTHING_PINNED)
    assert free.algorithms == {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
    assert free.key_id == "k"
    assert published_key(published("rsa", "k", alg="PS256"), NOTHING_PINNED).algorithms == {"PS256"}
    assert published_key(published("p256", None), NOTHING_PINNED).algorithms == {"ES256"}
    assert published_key(published("ed", None), frozenset({"EdDSA"})).algorithms == {"EdDSA"}
    assert published_key(published("rsa", "k", alg="HS256"), NOTHING_PINNED).algorithms == frozenset()


@pytest.mark.parametrize(
    "changes",
    [
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": None},
        {"kty": []},
        {"kty": "XYZ"},
        {"use": "enc"},
        {"use": []},
        {"key_ops": ["encrypt"]},
        {"key_ops": 5},
        {"n": 5},
        {"n": "!!"},
        {"n": ""},
        {"e": None},
    ],
)
def test_unusable_published_keys_are_refused(changes: dict[str, object]) -> None:
    """Shared secrets, encryption keys and garbage in a key set are not used."""
    with pytest.raises(UnusableKeyError):
        published_key(published("rsa", "k", **changes), NOTHING_PINNED)
