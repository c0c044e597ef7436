"""What all endpoints share: JSON bodies, request ids, errors that show nothing internal, the access log's names."""

import uuid
from http import HTTPStatus
from types import TracebackType
from typing import Any, ClassVar

import orjson
import structlog
from tornado.web import HTTPError, RequestHandler

from edge.errors import RefusedError
from edge.service import Edge

_log = structlog.get_logger(__name__)

_REQUEST_ID_LIMIT = 128
"""Characters of an `X-Request-Id` that is taken over; a longer one is replaced."""

_MESSAGES = {
    HTTPStatus.BAD_REQUEST: "Bad Request",
    HTTPStatus.FORBIDDEN: "Forbidden",
    HTTPStatus.NOT_FOUND: "Not Found",
    HTTPStatus.METHOD_NOT_ALLOWED: "Method Not Allowed",
}
_UNFORESEEN = "An unexpected error has occurred."


def request_id(received: str) -> str:
    """The id of a request: the client's when it is sane (visible ASCII, at most 128 characters), or a new UUID."""
    if 0 < len(received) <= _REQUEST_ID_LIMIT and all("!" <= character <= "~" for character in received):
        return received
    return str(uuid.uuid4())


class BaseHandler(RequestHandler):
    """Base of all endpoints.

    Attributes:
        edge: the process's parts.
        endpoint: name in metrics.
        allowed: value of `Allow` in a 405.
        request_id: of this request.
    """

    endpoint: ClassVar[str] = "other"
    allowed: ClassVar[str] = "GET, HEAD"
    edge: Edge
    request_id: str

    def initialize(self, edge: Edge) -> None:
        """Called by Tornado with what the route holds."""
        self.edge = edge

    def set_default_headers(self) -> None:
        """Headers of every response, errors included."""
        self.request_id = request_id(self.request.headers.get("X-Request-Id", ""))
        self.set_header("Server", "kafka-ws")
        self.set_header("X-Request-Id", self.request_id)

    def prepare(self) -> None:
        """Binds the request id to everything that is logged for this request."""
        structlog.contextvars.bind_contextvars(request_id=self.request_id)

    def compute_etag(self) -> None:
        """None: nothing here is worth caching."""

    def send_json(self, status: HTTPStatus, body: object) -> None:
        """Answers with a JSON body."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(orjson.dumps(body))

    def refuse(self, refused: RefusedError) -> None:
        """Answers with an error."""
        _log.info("refused", why=str(refused), endpoint=self.endpoint)
        self.send_json(refused.status, {"message": refused.message})

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Called by Tornado for errors that nobody has answered: never shows what they were."""
        status = HTTPStatus(status_code)
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.set_header("Allow", self.allowed)
        self.send_json(status, {"message": _MESSAGES.get(status, _UNFORESEEN)})

    def log_exception(
        self, typ: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Logs what is not a plain HTTP error; Tornado's own text would quote the request with its ticket."""
        if typ is not None and value is not None and not isinstance(value, HTTPError):
            _log.error(
                "unforeseen error", endpoint=self.endpoint, request_id=self.request_id, exc_info=(typ, value, tb)
            )


class NotFoundHandler(BaseHandler):
    """Every path that is nobody's: 404 whatever the method."""

    def prepare(self) -> None:
        """Answers."""
        super().prepare()
        self.send_json(HTTPStatus.NOT_FOUND, {"message": "Not Found"})
