"""Keys that tokens are verified with, each bound to the algorithms it may be used for.

The algorithms follow from the kind of key and from configuration, never from a token: so a public key cannot be taken
for an HMAC secret, and `none` is nobody's algorithm (RFC 8725, sections 2.1 and 3.1). Pure; called at start for the
configured keys, and by `ticket_service.key_set` for published ones.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import HMACAlgorithm, get_default_algorithms

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey

HMAC_ALGORITHMS = frozenset({"HS256", "HS384", "HS512"})
RSA_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
CURVE_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512", "secp256k1": "ES256K"}
ASYMMETRIC_ALGORITHMS = RSA_ALGORITHMS | frozenset(CURVE_ALGORITHMS.values()) | {"EdDSA"}
KNOWN_ALGORITHMS = HMAC_ALGORITHMS | ASYMMETRIC_ALGORITHMS

SECRET_BYTES_MINIMUM = 32
"""An HS256 secret must not be shorter than its hash (RFC 7518, section 3.2)."""
RSA_BITS_MINIMUM = 2048
"""RFC 7518, sections 3.3 and 3.5."""

_PEM_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_JWK_TYPES = frozenset({"RSA", "EC", "OKP"})


class UnusableKeyError(ValueError):
    """A key cannot be used for verification. The text says why, without quoting the key."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key and what it may verify.

    Attributes:
        algorithms: JWS algorithm names (RFC 7518, 3.1; RFC 8037) that it may be used for.
        key_id: `kid` of a published key; None for a configured one.
        weakness: a warning for the operator when the key is shorter than it should be; empty otherwise.
    """

    key: bytes | PublicKey = field(repr=False)
    algorithms: frozenset[str]
    key_id: str | None = None
    weakness: str = ""


def secret_key(secret: str, pinned: frozenset[str]) -> VerificationKey:
    """The shared secret of an issuer that signs with HMAC.

    Args:
        secret: its UTF-8 bytes are the key.
        pinned: algorithms the operator allows; empty: HS256.

    Raises:
        UnusableKeyError: it is a public key or a JWK, put into the wrong variable.
    """
    key = secret.encode()
    try:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(key)
    except jwt.InvalidKeyError:
        raise UnusableKeyError("is a public key, a certificate or a JWK, not a shared secret") from None
    weakness = ""
    if len(key) < SECRET_BYTES_MINIMUM:
        weakness = (
            f"the secret has {len(key)} bytes, it can be guessed; use at least {SECRET_BYTES_MINIMUM} random ones"
        )
    return VerificationKey(key, pinned & HMAC_ALGORITHMS if pinned else frozenset({"HS256"}), weakness=weakness)


def pem_keys(text: str, pinned: frozenset[str]) -> list[VerificationKey]:
    """Public keys, or certificates of such, in PEM; several may follow each other, for a rotation.

    Args:
        text: the blocks; `\\n` in two characters, as environment files have it, counts as a line break.
        pinned: algorithms the operator allows; empty: RS256 for RSA, the curve's for EC, EdDSA for Ed25519 and Ed448.

    Raises:
        UnusableKeyError: there is no block, or one is not a public key of these types.
    """
    blocks = [(block[1], block[0]) for block in _PEM_BLOCK.finditer(text.replace("\\n", "\n"))]
    if not blocks:
        raise UnusableKeyError("holds no PEM block (-----BEGIN PUBLIC KEY----- ...)")
    return [_bound(_load_pem(label, block), pinned) for label, block in blocks]


def published_key(jwk: Mapping[str, Any], pinned: frozenset[str]) -> VerificationKey:
    """A key of a JWK set (RFC 7517).

    Args:
        jwk: one member of `keys`.
        pinned: algorithms the operator allows; empty: every asymmetric one that suits the key. Its own `alg` narrows.

    Raises:
        UnusableKeyError: not a public key for signatures, or of no known type.
    """
    kind = jwk.get("kty")
    if not isinstance(kind, str) or kind not in _JWK_TYPES:
        raise UnusableKeyError("not an asymmetric key")
    if jwk.get("use", "sig") != "sig":
        raise UnusableKeyError("not for signatures")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise UnusableKeyError("not for verification")
    # Without `alg` and private parts: what is left is the public key, whatever was published.
    public_parts = {name: jwk[name] for name in ("kty", "crv", "n", "e", "x", "y") if name in jwk}
    try:
        key = jwt.PyJWK(public_parts).key
    except (jwt.PyJWTError, ValueError, TypeError, UnsupportedAlgorithm):
        raise UnusableKeyError("malformed, or of an unknown type") from None
    if not isinstance(key, PublicKey):
        raise UnusableKeyError("not a public key")
    key_id, own = jwk.get("kid"), jwk.get("alg")
    bound = _bound(key, pinned or ASYMMETRIC_ALGORITHMS)
    algorithms = bound.algorithms if own is None else bound.algorithms & {str(own)}
    return VerificationKey(key, algorithms, key_id if isinstance(key_id, str) else None, bound.weakness)


def supported_algorithms() -> frozenset[str]:
    """Names that configuration may pin: those of this module that the installed libraries have."""
    return KNOWN_ALGORITHMS & set(get_default_algorithms())


def _load_pem(label: str, block: str) -> PublicKey:
    if "PRIVATE" in label:
        raise UnusableKeyError(
            "holds a private key, verification needs the public one; treat the private key as leaked"
        )
    try:
        key: object
        if label == "CERTIFICATE":
            key = x509.load_pem_x509_certificate(block.encode()).public_key()
        else:
            key = load_pem_public_key(block.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableKeyError("holds a PEM block that is not a public key or certificate") from None
    if not isinstance(key, PublicKey):
        raise UnusableKeyError("holds a key that is not RSA, EC, Ed25519 or Ed448")
    return key


def _bound(key: PublicKey, pinned: frozenset[str]) -> VerificationKey:
    weakness = ""
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < RSA_BITS_MINIMUM:
            weakness = f"the RSA key has {key.key_size} bits, use at least {RSA_BITS_MINIMUM}"
        algorithms = pinned & RSA_ALGORITHMS if pinned else frozenset({"RS256"})
        return VerificationKey(key, algorithms, weakness=weakness)
    if isinstance(key, ec.EllipticCurvePublicKey):
        algorithm = CURVE_ALGORITHMS.get(key.curve.name)
        if algorithm is None:
            raise UnusableKeyError(f"holds a key on the curve {key.curve.name}, which has no algorithm")
    else:
        algorithm = "EdDSA"
    return VerificationKey(key, pinned & {algorithm} if pinned else frozenset({algorithm}))
