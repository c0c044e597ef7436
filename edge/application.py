"""Routes, the access log, and the HTTP server's limits."""

import structlog
from tornado import httputil
from tornado.httpserver import HTTPServer
from tornado.routing import Rule
from tornado.web import Application, RequestHandler

from edge import metrics
from edge.handlers.base import BaseHandler, NotFoundHandler
from edge.handlers.events import EventsHandler, WantsEvents
from edge.handlers.health import AliveHandler, ReadyHandler
from edge.handlers.stream import PREFIX
from edge.handlers.ticket import TicketHandler
from edge.handlers.topic import TopicHandler
from edge.service import Edge

_log = structlog.get_logger("edge.access")

_BODY_LIMIT = 64 * 1024
"""Bytes of a request's body: no endpoint reads one."""

_PARAMETERS_LIMIT = 10_000
"""Parameters of a query; more get 400. Reading them takes two microseconds each, of everybody's time, and no ticket."""

_LOGGED_PATH_LENGTH = 512
"""Characters; a path may have as many as the headers."""

_QUIET_ENDPOINTS = frozenset({"healthz", "readyz"})


def _log_request(handler: RequestHandler) -> None:
    """Logs one response, without the query: it holds the ticket."""
    request = handler.request
    endpoint = handler.endpoint if isinstance(handler, BaseHandler) else "other"
    status = int(handler.get_status())
    seconds = request.request_time()
    metrics.HTTP_REQUESTS.labels(endpoint, status).inc()
    metrics.REQUEST_SECONDS.labels(endpoint).observe(seconds)
    (_log.debug if endpoint in _QUIET_ENDPOINTS else _log.info)(
        "request",
        method=request.method,
        path=request.path[:_LOGGED_PATH_LENGTH],
        status=status,
        milliseconds=round(seconds * 1000, 1),
        peer=request.remote_ip,
        request_id=getattr(handler, "request_id", None),
    )


def make_application(edge: Edge) -> Application:
    """All endpoints."""
    parts = {"edge": edge}
    settings = edge.settings
    return Application(
        [
            (r"/kafka-ws/v1/ticket", TicketHandler, parts),
            Rule(WantsEvents(), EventsHandler, parts),
            (PREFIX + r".*", TopicHandler, parts),
            (r"/healthz", AliveHandler, parts),
            (r"/readyz", ReadyHandler, parts),
        ],
        default_handler_class=NotFoundHandler,
        default_handler_args=parts,
        log_function=_log_request,
        # `keep_alive` pings.
        websocket_ping_interval=0,
        websocket_max_message_size=settings.server_max_message_size,
    )


def make_server(edge: Edge) -> HTTPServer:
    """The HTTP server, not listening yet."""
    settings = edge.settings
    # Tornado parses every query itself, though nobody here looks at the result.
    httputil.set_parse_body_config(
        httputil.ParseBodyConfig(urlencoded=httputil.ParseUrlEncodedConfig(max_arguments=_PARAMETERS_LIMIT))
    )
    return HTTPServer(
        make_application(edge),
        max_header_size=settings.server_max_header_size,
        max_body_size=_BODY_LIMIT,
        idle_connection_timeout=settings.server_idle_timeout_sec,
        body_timeout=settings.server_idle_timeout_sec,
    )
