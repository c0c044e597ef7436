"""Turns errors into the contract's `Rejection`: the one place where both are known. Used by the servicer."""

from __future__ import annotations

import structlog
from kafka_ws.filter.v1 import filter_pb2 as pb

from filter_service import metrics
from filter_service.errors import (
    DrainingError,
    InvalidSubscriptionError,
    KafkaUnavailableError,
    PositionGoneError,
    SubscriptionIdError,
    TooManyLongQueriesError,
    TooManySubscriptionsError,
    TopicReplacedError,
)
from filter_service.language import LanguageError

log = structlog.get_logger(__name__)

_LANGUAGE_PARTS = {"where": pb.REJECTED_PART_WHERE, "fields": pb.REJECTED_PART_FIELDS}
_REQUEST_PARTS = {
    "topic": pb.REJECTED_PART_TOPIC,
    "partitions": pb.REJECTED_PART_TOPIC,
    "start": pb.REJECTED_PART_START,
    "stop": pb.REJECTED_PART_STOP,
}


def rejection(error: BaseException) -> pb.Rejection:
    """What a client is told about an error. An unforeseen one is logged here and told as `Internal error`."""
    told = _rejection(error)
    metrics.REJECTIONS.labels(str(int(told.code))).inc()
    return told


def _rejection(error: BaseException) -> pb.Rejection:
    if isinstance(error, LanguageError):
        return pb.Rejection(
            code=pb.RejectionCode.ValueType(error.code),
            reason=error.reason,
            part=_LANGUAGE_PARTS[error.part],
            text_offset=error.offset,
            text_length=error.length,
        )
    if isinstance(error, InvalidSubscriptionError):
        return pb.Rejection(code=pb.REJECTION_CODE_INVALID_SYNTAX, reason=str(error), part=_REQUEST_PARTS[error.part])
    if isinstance(error, SubscriptionIdError):
        return pb.Rejection(code=pb.REJECTION_CODE_INVALID_SYNTAX, reason=str(error))
    if isinstance(error, PositionGoneError | TopicReplacedError):
        return pb.Rejection(code=pb.REJECTION_CODE_POSITION_GONE, reason=str(error), part=pb.REJECTED_PART_START)
    if isinstance(error, KafkaUnavailableError | TooManySubscriptionsError | TooManyLongQueriesError | DrainingError):
        log.warning("subscription refused", problem=str(error))
        return pb.Rejection(code=pb.REJECTION_CODE_UNAVAILABLE, reason="Server unavailable at this moment")
    log.error("unforeseen error", exc_info=error)
    return pb.Rejection(code=pb.REJECTION_CODE_INTERNAL, reason="Internal error")
