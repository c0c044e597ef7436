"""What can go wrong at the edge, and what a client is told.

EdgeError
├── RefusedError(status, message)          an HTTP response instead of what was asked for
│   └── UnavailableError(what)             503: something the request needs is away
└── StreamEndedError(code, reason)         101, then a close frame: the stream cannot begin or cannot go on
"""

from enum import IntEnum
from http import HTTPStatus

REASON_LIMIT = 123
"""Bytes of a close reason: a control frame's 125 (RFC 6455, section 5.5) less two for the code."""


class CloseCode(IntEnum):
    """Close codes the edge itself sends (behaviour, section 8; RFC 6455, section 7.4). The filter has more."""

    NORMAL = 1000
    GOING_AWAY = 1001
    INVALID_SYNTAX = 4000
    FORBIDDEN_TOPIC = 4403
    EXPIRED_CONNECTION = 4408
    POSITION_GONE = 4410
    SLOW_CONSUMER = 4429
    UNAVAILABLE = 4503
    INTERNAL = 4999


REASONS = {
    CloseCode.NORMAL: "",
    CloseCode.GOING_AWAY: "Server is shutting down",
    CloseCode.INVALID_SYNTAX: "invalid syntax",
    CloseCode.FORBIDDEN_TOPIC: "Tenant can't access this topic",
    CloseCode.EXPIRED_CONNECTION: "Connection lifetime",
    CloseCode.SLOW_CONSUMER: "Slow consumer",
    CloseCode.UNAVAILABLE: "Server unavailable at this moment",
    CloseCode.INTERNAL: "Internal error",
}
"""The reason that goes with each code that has but one."""


class EdgeError(Exception):
    """Any of the below."""


class RefusedError(EdgeError):
    """A request is answered with an error instead of what it asked for.

    Attributes:
        status: HTTP status.
        message: value of `message` in the JSON body.
    """

    def __init__(self, status: HTTPStatus, message: str) -> None:
        """Takes status and message."""
        super().__init__(status, message)
        self.status = status
        self.message = message

    def __str__(self) -> str:
        """E.g. `401 Invalid ticket`."""
        return f"{self.status.value} {self.message}"


class UnavailableError(RefusedError):
    """Something the request needs is away: 503.

    Attributes:
        what: for the log, e.g. `filter service`.
    """

    def __init__(self, what: str) -> None:
        """Takes what is away."""
        super().__init__(HTTPStatus.SERVICE_UNAVAILABLE, "Service Unavailable")
        self.what = what

    def __str__(self) -> str:
        """E.g. `503 Service Unavailable (filter service)`."""
        return f"{super().__str__()} ({self.what})"


class StreamEndedError(EdgeError):
    """A stream of records cannot begin, or cannot go on: the WebSocket is closed with this.

    Attributes:
        code: close code, 1000 to 4999.
        reason: close reason, of any length.
    """

    def __init__(self, code: int, reason: str) -> None:
        """Takes code and reason."""
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    @classmethod
    def of(cls, code: CloseCode) -> "StreamEndedError":
        """With the reason that always goes with the code."""
        return cls(code, REASONS[code])

    def __str__(self) -> str:
        """E.g. `4000 invalid syntax`."""
        return f"{self.code:d} {self.reason}"


def cut_reason(reason: str) -> str:
    """The longest beginning of `reason` that fits into a close frame: 123 bytes of UTF-8, no character cut in two."""
    encoded = reason.encode("utf-8", "replace")
    # "ignore" drops what the cut has left of a character; nothing else can be wrong in what was just encoded.
    return encoded[:REASON_LIMIT].decode("utf-8", "ignore")
