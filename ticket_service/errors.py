"""What can go wrong when a client asks to be let in.

    TicketServiceError
    ├── RefusedError                 the client's fault: gRPC UNAUTHENTICATED, `str(error)` is what the client reads
    │   ├── MissingTokenError        `Missing JWT token`
    │   ├── InvalidTokenError        `Invalid JWT token`
    │   ├── MissingTicketError       `Missing ticket`
    │   └── InvalidTicketError       `Invalid ticket`
    └── UnavailableError             ours, and passing: gRPC UNAVAILABLE
        ├── KeysUnavailableError     the key set to verify with cannot be had
        └── StoreUnavailableError    Redis does not answer, or not as it should

The client's messages are fixed by behaviour, sections 1 and 2; a resume credential is refused as the ticket it stands
in for. `reason` says more and is for logs and metrics only.
"""

from typing import ClassVar


class TicketServiceError(Exception):
    """Base of all errors of this service."""


class RefusedError(TicketServiceError):
    """The request was refused for what it presented.

    Args:
        reason: a short fixed text for logs and metrics, e.g. `expired`; never made from the client's input.
    """

    message: ClassVar[str]

    def __init__(self, reason: str) -> None:
        """Keeps the reason apart from the message."""
        super().__init__(self.message)
        self.reason = reason


class MissingTokenError(RefusedError):
    """No `Authorization` was sent."""

    message = "Missing JWT token"


class InvalidTokenError(RefusedError):
    """`Authorization` does not hold a token that is valid now."""

    message = "Invalid JWT token"


class MissingTicketError(RefusedError):
    """No ticket was presented."""

    message = "Missing ticket"


class InvalidTicketError(RefusedError):
    """The ticket, or resume credential, is malformed, unknown, used, expired, revoked, forged or for another topic."""

    message = "Invalid ticket"


class UnavailableError(TicketServiceError):
    """Something this service depends on is away; the same request may succeed later."""


class KeysUnavailableError(UnavailableError):
    """There are no keys to verify tokens with, for now."""


class StoreUnavailableError(UnavailableError):
    """The ticket store does not answer, or refuses to work."""
