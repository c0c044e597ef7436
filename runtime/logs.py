"""Logs: one line per event on stdout, JSON or coloured text, for our own modules and third-party libraries alike.

`configure` is called once at start, on the main thread; modules then use `structlog.get_logger(__name__)` from any
thread. Every line has `event`, `service`, `timestamp` (UTC, ISO 8601), `level` and `logger`; values bound with
`structlog.contextvars` (such as a request id) are added. Secrets are blanked by `runtime.redaction`.
"""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from runtime.redaction import redact_secrets


class _ServiceName:
    """Adds `service` to each event."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["service"] = self._service
        return event


def configure(service: str, level: str, format: str) -> None:
    """Sets up logging for the whole process.

    Args:
        service: name that every line carries, e.g. `ticket_service`.
        level: `debug`, `info`, `warning`, `error` or `critical`; less severe events are dropped.
        format: `json` (one object per line) or `console`.
    """
    severity = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _ServiceName(service),
        structlog.processors.StackInfoRenderer(),
        # The plain traceback: the structured one quotes local variables, which may hold secrets.
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        # Otherwise each line would put its logger together anew. No module logs before this.
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redact_secrets,
                _renderer(format),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(severity)
    # Its debug messages are one per loop turn.
    logging.getLogger("asyncio").setLevel(max(severity, logging.INFO))


def _renderer(format: str) -> Processor:
    if format == "console":
        return structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    if format == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    raise ValueError(f"log format {format!r} is neither json nor console")
