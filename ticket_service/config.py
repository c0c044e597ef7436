"""Settings of the ticket service: what can be configured, and what must be. Read once at start.

A field `x_y` is the environment variable `KAFKA_WS_X_Y`; secret ones may also come from the file that
`KAFKA_WS_X_Y_FILE` names.
"""

from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from runtime.settings import CommaList, ConfigurationError, ListenPort, Port, ServiceSettings
from ticket_service.grant import grant_key
from ticket_service.verification_keys import (
    ASYMMETRIC_ALGORITHMS,
    UnusableKeyError,
    VerificationKey,
    pem_keys,
    secret_key,
    supported_algorithms,
)


class TicketServiceSettings(ServiceSettings):
    """What the ticket service can be told."""

    ticket_grpc_host: str = Field(default="127.0.0.1", min_length=1, description="Address to serve gRPC on.")
    ticket_grpc_port: ListenPort = Field(default=50052, description="Port to serve gRPC on; 0: any free one.")
    ticket_expiration_sec: int = Field(
        default=60, ge=1, le=86_400, description="Seconds that an unused ticket is valid."
    )
    ticket_grant_secret: SecretStr | None = Field(
        default=None,
        description="Authenticates the grants stored in Redis; the same on all replicas. "
        "Derived from KAFKA_WS_TOKEN_HS256_SECRET when that is set; required otherwise.",
    )

    redis_host: str = Field(default="127.0.0.1", min_length=1, description="Host of Redis or Valkey.")
    redis_port: Port = Field(default=6379, description="Port of Redis or Valkey.")
    redis_database: int = Field(default=0, ge=0, description="Number of the database.")
    redis_username: str = Field(default="", description="User to authenticate as; empty: the default user.")
    redis_password: SecretStr | None = Field(default=None, description="Password to authenticate with.")
    redis_tls: bool = Field(default=False, description="Connect to Redis by TLS.")
    redis_tls_ca_file: str = Field(
        default="", description="PEM certificates that Redis is checked against; empty: the system's."
    )
    redis_timeout_sec: float = Field(
        default=2.0, gt=0, le=60, description="Seconds to wait for a connection, and for an answer."
    )
    redis_key_prefix: str = Field(default="kafka-ws:", description="Put in front of every key.")

    token_hs256_secret: SecretStr | None = Field(
        default=None, description="Shared secret of tokens signed with HMAC; at least 32 random bytes."
    )
    token_public_key: SecretStr | None = Field(
        default=None, description="Public keys or certificates (PEM) of tokens signed with RSA, EC or EdDSA."
    )
    token_jwks_url: str = Field(default="", description="URL of a JWK set to verify tokens with.")
    token_jwks_refresh_sec: float = Field(
        default=300.0, ge=1, le=86_400, description="Age at which the JWK set is fetched again."
    )
    token_jwks_stale_sec: float = Field(
        default=3600.0, ge=1, le=604_800, description="Age up to which keys are used while the URL does not answer."
    )
    token_jwks_timeout_sec: float = Field(default=5.0, gt=0, le=60, description="Seconds for one fetch.")
    token_algorithms: CommaList = Field(
        default=(),
        description="The only algorithms to accept. Empty: HS256 for the secret; RS256, the curve's ES..., or EdDSA "
        "for public keys; every asymmetric one for the JWK set.",
    )
    token_issuer: str = Field(default="", description="What a token's `iss` must be; empty: anything.")
    token_audience: str = Field(default="", description="What a token's `aud` must hold; empty: anything.")
    token_trust_gateway: bool = Field(
        default=False,
        description="Believe every token without verification: an API gateway in front has verified it.",
    )

    @field_validator("token_algorithms")
    @classmethod
    def _check_algorithms(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        known = supported_algorithms()
        for name in names:
            if name not in known:
                raise ValueError(f"{name!r} is not one of {', '.join(sorted(known))}.")
        return names

    @field_validator("token_jwks_url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        if not url:
            return url
        # The text is not quoted in these sentences: it may hold a password.
        try:
            parts = urlsplit(url)
            parts.port  # noqa: B018 - raises when it is not a number
        except ValueError:
            raise ValueError("not a URL.") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or any(ord(c) <= 32 for c in url):
            raise ValueError("must be a URL that begins with https:// or http://.")
        if parts.username is not None:
            raise ValueError("must not hold a user name or password.")
        return url

    @model_validator(mode="after")
    def _check_verification(self) -> Self:
        configured = [
            variable
            for variable, value in (
                ("KAFKA_WS_TOKEN_HS256_SECRET", self.token_hs256_secret),
                ("KAFKA_WS_TOKEN_PUBLIC_KEY", self.token_public_key),
                ("KAFKA_WS_TOKEN_JWKS_URL", self.token_jwks_url),
            )
            if value
        ]
        if self.token_trust_gateway and configured:
            raise ValueError(
                f"KAFKA_WS_TOKEN_TRUST_GATEWAY: must not be true together with {', '.join(configured)}: "
                "either tokens are verified or they are not."
            )
        if not self.token_trust_gateway and not configured:
            raise ValueError(
                "KAFKA_WS_TOKEN_HS256_SECRET, KAFKA_WS_TOKEN_PUBLIC_KEY or KAFKA_WS_TOKEN_JWKS_URL: set at least one, "
                "there is no way to verify tokens (or KAFKA_WS_TOKEN_TRUST_GATEWAY=true, when an API gateway in front "
                "has verified every token)."
            )
        if not self.ticket_grant_secret and not self.token_hs256_secret:
            raise ValueError(
                "KAFKA_WS_TICKET_GRANT_SECRET: must be set, the same random text on every replica "
                "(only KAFKA_WS_TOKEN_HS256_SECRET, when set, makes it dispensable)."
            )
        return self

    def pinned_algorithms(self) -> frozenset[str]:
        """The only algorithms to accept; empty: the defaults of each key."""
        return frozenset(self.token_algorithms)

    def verification_keys(self) -> list[VerificationKey]:
        """The configured keys, each with its algorithms.

        Raises:
            ConfigurationError: a key cannot be used, or the pinned algorithms leave it, or they, without use.
        """
        pinned = self.pinned_algorithms()
        keys: list[VerificationKey] = []
        variable = "KAFKA_WS_TOKEN_HS256_SECRET"
        try:
            if self.token_hs256_secret:
                keys.append(secret_key(self.token_hs256_secret.get_secret_value(), pinned))
            variable = "KAFKA_WS_TOKEN_PUBLIC_KEY"
            if self.token_public_key:
                keys += pem_keys(self.token_public_key.get_secret_value(), pinned)
        except UnusableKeyError as error:
            raise ConfigurationError(f"{variable}: {error}.") from None
        if not all(key.algorithms for key in keys):
            raise ConfigurationError(
                "KAFKA_WS_TOKEN_ALGORITHMS: leaves no algorithm for a key that is configured by "
                "KAFKA_WS_TOKEN_HS256_SECRET or KAFKA_WS_TOKEN_PUBLIC_KEY."
            )
        served = frozenset[str]().union(*(key.algorithms for key in keys))
        if self.token_jwks_url:
            served |= (pinned or ASYMMETRIC_ALGORITHMS) & ASYMMETRIC_ALGORITHMS
        if pinned - served:
            raise ConfigurationError(
                f"KAFKA_WS_TOKEN_ALGORITHMS: no key is configured for {', '.join(sorted(pinned - served))}."
            )
        return keys

    def sealing_key(self) -> bytes:
        """The key of stored grants."""
        secret = self.ticket_grant_secret or self.token_hs256_secret
        if secret is None:  # cannot be: see _check_verification
            raise ConfigurationError("KAFKA_WS_TICKET_GRANT_SECRET: must be set.")
        return grant_key(secret.get_secret_value())
