"""JSON Web Tokens as an identity provider issues them, for tests."""

import json
import time
from typing import Any

import jwt

DEFAULT_SECRET = "a secret for tests, longer than the thirty-two bytes that HS256 asks for"
"""What the stack of the tests verifies HS256 tokens with."""

LIFE_SEC = 3600


class TokenIssuer:
    """Issues HS256 tokens.

    :param secret: what they are signed with, unless a call says otherwise.
    """

    def __init__(self, secret: str = DEFAULT_SECRET) -> None:
        self.secret = secret

    def token(
        self,
        tenant: object = "admin",
        *,
        exp: object = None,
        secret: str | None = None,
        claims: dict[str, Any] | None = None,
    ) -> str:
        """A signed token.

        :param tenant: its `service` claim.
        :param exp: its `exp` claim, seconds since the epoch; None: an hour from now. Put as it is, so that a test can
            give something that is no number.
        :param secret: signs with another secret.
        :param claims: more claims; they replace those above, and a value of None removes one.
        """
        payload = {"service": tenant, "exp": int(time.time()) + LIFE_SEC if exp is None else exp, **(claims or {})}
        payload = {name: value for name, value in payload.items() if value is not None}
        # PyJWS signs any payload; PyJWT would object to an `exp` that is no number before a test can send it.
        text = json.dumps(payload, separators=(",", ":")).encode()
        return jwt.PyJWS().encode(text, self.secret if secret is None else secret, algorithm="HS256")
