"""Whether an HTTP request is a WebSocket handshake (RFC 6455, section 4.2.1). Pure; called by `handlers.topic`."""

import base64
import binascii
from collections.abc import Mapping
from enum import Enum


class Handshake(Enum):
    """What a request is."""

    PROPER = "a WebSocket handshake"
    NOT_WEBSOCKET = "a plain HTTP request"
    WRONG_VERSION = "a handshake in another version of the protocol"
    MALFORMED = "a broken handshake"


def _tokens(value: str) -> set[str]:
    return {token.strip().lower() for token in value.split(",")}


def _is_key(value: str) -> bool:
    try:
        return len(base64.b64decode(value.strip(), validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def inspect(version: str, headers: Mapping[str, str]) -> Handshake:
    """What a GET request is.

    Args:
        version: of HTTP, e.g. `HTTP/1.1`.
        headers: with case-insensitive names.
    """
    upgrade = headers.get("Upgrade", "").strip()
    if not upgrade:
        return Handshake.NOT_WEBSOCKET
    if upgrade.lower() != "websocket" or "upgrade" not in _tokens(headers.get("Connection", "")):
        return Handshake.MALFORMED
    if version != "HTTP/1.1" or not headers.get("Host") or not _is_key(headers.get("Sec-WebSocket-Key", "")):
        return Handshake.MALFORMED
    if "Sec-WebSocket-Version" not in headers:
        return Handshake.MALFORMED
    return Handshake.PROPER if headers["Sec-WebSocket-Version"].strip() == "13" else Handshake.WRONG_VERSION
