"""Last line of defence against secrets in logs: a structlog processor that blanks what must not be written.

No caller should log a ticket or a token at all; this catches the one that does, and third-party libraries and
tracebacks that quote one. Called by the logging chain of `runtime.logs`, from any thread; it holds no state.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from structlog.typing import EventDict, WrappedLogger

REDACTED = "[redacted]"

_SECRET_WORDS = frozenset(
    {
        "authorization",
        "cookie",
        "credential",
        "credentials",
        "jwt",
        "passphrase",
        "password",
        "secret",
        "ticket",
        "tickets",
        "token",
        "tokens",
    }
)
_WORD_BREAK = re.compile(r"[^0-9A-Za-z]+|(?<=[a-z0-9])(?=[A-Z])")
_SECRET_TEXT = re.compile(
    r"(?P<kept>\b(?:bearer|basic)\s+|[?&;\s](?:ticket|token|secret|password)=)[^\s&;,'\"<>]+"
    r"|\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_.-]+"  # a JSON Web Token: `{"` in base64url
    r"|\b[0-9a-f]{64}\b"  # a ticket
    r"|(?<![A-Za-z0-9])kwr_[A-Za-z0-9_-]+"  # a resume credential
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_DEPTH_LIMIT = 8
_KEYS_REMEMBERED = 1024
"""Log lines have the same few dozen keys again and again."""


def redact_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replaces secret values of a log event by `[redacted]`.

    A value is secret when the last word of its key says so (`ticket`, `redis_password`, `X-Auth-Token`; not
    `ticket_address`), at any depth of mappings and lists. In all other texts, tracebacks included, tokens, tickets,
    resume credentials, `Authorization` values, `ticket=...` parameters and private keys are blanked where they stand.
    """
    return {key: _redacted(key, value, 0) for key, value in event.items()}


@lru_cache(_KEYS_REMEMBERED)
def names_a_secret(key: str) -> bool:
    """Whether a value stored under this key must not be shown."""
    words = [word for word in _WORD_BREAK.split(key) if word]
    return bool(words) and words[-1].lower() in _SECRET_WORDS


def _redacted(key: object, value: object, depth: int) -> object:
    if isinstance(key, str) and names_a_secret(key) and value is not None and not isinstance(value, bool):
        return REDACTED
    if isinstance(value, str):
        return _redacted_text(value)
    if isinstance(value, bytes):
        return _redacted_text(value.decode("utf-8", "backslashreplace"))
    if depth >= _DEPTH_LIMIT:
        return value if value is None or isinstance(value, bool | int | float) else REDACTED
    if isinstance(value, Mapping):
        return {inner: _redacted(inner, item, depth + 1) for inner, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(None, item, depth + 1) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return value if key in ("exc_info", "_record") else _redacted_text(repr(value))


def _redacted_text(text: str) -> str:
    return _SECRET_TEXT.sub(lambda match: (match["kept"] or "") + REDACTED, text)
