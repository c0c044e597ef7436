"""A token issuer for the tests: its keys, its tokens (good and forged), and its key set behind a real HTTP server."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SECRET = "an issuer's secret of more than thirty-two bytes"

Claims = Mapping[str, Any]
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@cache
def private_key(name: str) -> PrivateKey:
    """A private key, the same during the run; names begin with `rsa`, `p256`, `p384`, `p521`, `k256` or `ed`."""
    if name.startswith("rsa"):
        return rsa.generate_private_key(65537, 2048)
    if name.startswith("ed"):
        return ed25519.Ed25519PrivateKey.generate()
    curves = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1(), "k256": ec.SECP256K1()}
    return ec.generate_private_key(curves[name[:4]])


def public_pem(name: str) -> str:
    """The public half of `private_key(name)` in PEM."""
    return private_key(name).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def claims(**changes: object) -> dict[str, Any]:
    """Good claims of tenant `admin`, with changes; None removes a claim."""
    good: dict[str, Any] = {"service": "admin", "exp": int(time.time()) + 3600}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def hmac_token(payload: Claims | None = None, secret: str = SECRET, algorithm: str = "HS256") -> str:
    """A token signed with a shared secret."""
    return jwt.encode(dict(claims() if payload is None else payload), secret, algorithm)


def signed_token(name: str, algorithm: str, payload: Claims | None = None, key_id: str | None = None) -> str:
    """A token signed with `private_key(name)`."""
    key: PrivateKeyTypes = private_key(name)
    headers = None if key_id is None else {"kid": key_id}
    return jwt.encode(dict(claims() if payload is None else payload), key, algorithm, headers)  # type: ignore[arg-type]


def base64url(data: bytes) -> str:
    """Without padding, as in tokens."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def raw_token(payload: bytes, header: bytes = b'{"alg":"HS256"}', secret: bytes = SECRET.encode()) -> str:
    """A token with any bytes as header and payload, rightly signed by HMAC-SHA256."""
    signing_input = f"{base64url(header)}.{base64url(payload)}"
    return f"{signing_input}.{base64url(hmac.new(secret, signing_input.encode(), hashlib.sha256).digest())}"


def published(name: str, key_id: str | None, **members: object) -> dict[str, Any]:
    """The JWK of `private_key(name)`'s public half."""
    algorithms = jwt.algorithms.get_default_algorithms()
    algorithm = "RS256" if name.startswith("rsa") else "EdDSA" if name.startswith("ed") else "ES256"
    jwk = json.loads(algorithms[algorithm].to_jwk(private_key(name).public_key()))
    jwk.pop("key_ops", None)
    return {**jwk, **({} if key_id is None else {"kid": key_id}), **members}


class KeySetServer:
    """An HTTP server on 127.0.0.1 with a JWK set at `/keys`.

    Attributes:
        status, body: what it answers with; may be changed at any time.
        requests: how many requests came.
        may_answer: cleared: requests wait.
    """

    def __init__(self, keys: Sequence[Mapping[str, Any]] = ()) -> None:
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body = b""
        self.requests = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.publish(keys)
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests += 1
                server.may_answer.wait()
                self.send_response(server.status)
                for name, value in server.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(server.body)))
                self.end_headers()
                self.wfile.write(server.body)

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the set is."""
        return f"http://127.0.0.1:{self._server.server_port}/keys"

    def publish(self, keys: Sequence[Mapping[str, Any]]) -> None:
        """Replaces the set."""
        self.body = json.dumps({"keys": list(keys)}).encode()

    def close(self) -> None:
        """Stops; connections are refused from now on."""
        self.may_answer.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
