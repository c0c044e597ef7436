"""The ticket itself: 32 random bytes in hexadecimal. Pure; called by the servicer.

Behaviour, section 1, promises clients an opaque text of 64 hexadecimal characters.
"""

import hashlib
import re
import secrets

_RANDOM_BYTES = 32
_TICKET = re.compile(rf"[0-9a-f]{{{2 * _RANDOM_BYTES}}}")


def new_ticket() -> str:
    """A fresh ticket: 64 lower-case hexadecimal digits from the system's secure random source."""
    return secrets.token_hex(_RANDOM_BYTES)


def is_ticket(text: str) -> bool:
    """Whether a text has the form of a ticket; anything else was never issued."""
    return _TICKET.fullmatch(text) is not None


def ticket_digest(ticket: str) -> bytes:
    """SHA-256 (32 bytes) of a ticket: the name it is stored under, from which it cannot be computed back."""
    return hashlib.sha256(ticket.encode("ascii")).digest()
