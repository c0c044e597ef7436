"""Which requests are WebSocket handshakes."""

import pytest
from tornado.httputil import HTTPHeaders

from edge.handshake import Handshake, inspect

PROPER = {
    "Host": "edge",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Version": "13",
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Handshake.PROPER),
        ({"Upgrade": "WebSocket", "Connection": "keep-alive, upgrade"}, Handshake.PROPER),
        ({"Upgrade": None}, Handshake.NOT_WEBSOCKET),
        ({"Upgrade": "", "Connection": "close"}, Handshake.NOT_WEBSOCKET),
        ({"Upgrade": "h2c"}, Handshake.MALFORMED),
        ({"Connection": None}, Handshake.MALFORMED),
        ({"Connection": "keep-alive"}, Handshake.MALFORMED),
        ({"Sec-WebSocket-Key": None}, Handshake.MALFORMED),
        ({"Sec-WebSocket-Key": "short"}, Handshake.MALFORMED),
        ({"Sec-WebSocket-Key": "AAAA"}, Handshake.MALFORMED),
        ({"Sec-WebSocket-Version": None}, Handshake.MALFORMED),
        ({"Sec-WebSocket-Version": "7"}, Handshake.WRONG_VERSION),
        ({"Sec-WebSocket-Version": "13, 8"}, Handshake.WRONG_VERSION),
    ],
)
def test_requests(changes: dict[str, str | None], expected: Handshake) -> None:
    """A proper handshake, and each way to spoil it."""
    headers = HTTPHeaders({name: value for name, value in {**PROPER, **changes}.items() if value is not None})
    assert inspect("HTTP/1.1", headers) is expected


def test_http_1_0() -> None:
    """HTTP/1.0 has no upgrade."""
    assert inspect("HTTP/1.0", HTTPHeaders(PROPER)) is Handshake.MALFORMED
