"""The ready-made token of a local run: a JSON Web Token for the demo tenant, signed with the run's secret."""

import time
import warnings
from collections.abc import Mapping

import jwt

LIFE_SEC = 30 * 24 * 3600
"""Longer than a local run is left on; a random secret ends with the run."""


def issue_token(secret: str, tenant: str, environment: Mapping[str, str]) -> str:
    """A token that the ticket service of this run accepts.

    Args:
        secret: what `KAFKA_WS_TOKEN_HS256_SECRET` holds.
        tenant: its `service` claim.
        environment: the ticket service's; it may ask for an algorithm, an issuer or an audience.
    """
    now = int(time.time())
    claims = {"service": tenant, "sub": "local-run", "iat": now, "exp": now + LIFE_SEC}
    for claim, variable in (("iss", "KAFKA_WS_TOKEN_ISSUER"), ("aud", "KAFKA_WS_TOKEN_AUDIENCE")):
        if value := environment.get(variable):
            claims[claim] = value
    pinned = (name.strip() for name in environment.get("KAFKA_WS_TOKEN_ALGORITHMS", "").split(","))
    algorithm = next((name for name in pinned if name.startswith("HS")), "HS256")
    with warnings.catch_warnings():
        # A short secret is the ticket service's to warn of.
        warnings.simplefilter("ignore")
        return jwt.encode(claims, secret, algorithm=algorithm)
