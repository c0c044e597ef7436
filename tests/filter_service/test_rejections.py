"""Errors as clients are told them."""

import pytest
from kafka_ws.filter.v1 import filter_pb2 as pb

from filter_service import errors
from filter_service.language import LanguageError, compile_where
from filter_service.rejections import rejection

UNAVAILABLE = pb.Rejection(code=pb.REJECTION_CODE_UNAVAILABLE, reason="Server unavailable at this moment")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            errors.InvalidSubscriptionError("topic", "must be named"),
            pb.Rejection(
                code=pb.REJECTION_CODE_INVALID_SYNTAX, reason="topic: must be named", part=pb.REJECTED_PART_TOPIC
            ),
        ),
        (
            errors.InvalidSubscriptionError("partitions", "-1 is negative"),
            pb.Rejection(
                code=pb.REJECTION_CODE_INVALID_SYNTAX, reason="partitions: -1 is negative", part=pb.REJECTED_PART_TOPIC
            ),
        ),
        (
            errors.PositionGoneError(2, 5, 9),
            pb.Rejection(
                code=pb.REJECTION_CODE_POSITION_GONE,
                reason="partition 2: offset 5 is gone, first offset is 9",
                part=pb.REJECTED_PART_START,
            ),
        ),
        (
            errors.PositionGoneError(2, 5, None),
            pb.Rejection(
                code=pb.REJECTION_CODE_POSITION_GONE,
                reason="partition 2: offset 5 is gone",
                part=pb.REJECTED_PART_START,
            ),
        ),
        (
            errors.TopicReplacedError("admin.t"),
            pb.Rejection(
                code=pb.REJECTION_CODE_POSITION_GONE,
                reason="topic admin.t was deleted since; positions in it are gone",
                part=pb.REJECTED_PART_START,
            ),
        ),
        (
            errors.SubscriptionIdError(3),
            pb.Rejection(code=pb.REJECTION_CODE_INVALID_SYNTAX, reason="subscription id 3 is in use on this session"),
        ),
        (errors.KafkaUnavailableError("asking for metadata", "timed out"), UNAVAILABLE),
        (errors.TooManySubscriptionsError(5), UNAVAILABLE),
        (errors.TooManyLongQueriesError(5), UNAVAILABLE),
        (errors.DrainingError(), UNAVAILABLE),
        (ZeroDivisionError("secret"), pb.Rejection(code=pb.REJECTION_CODE_INTERNAL, reason="Internal error")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_error_has_a_rejection(error: Exception, expected: pb.Rejection) -> None:
    """Code, reason and part; what nobody foresaw is `Internal error`, without its text."""
    assert rejection(error) == expected


def all_subclasses(of: type[Exception]) -> set[type[Exception]]:
    return {of}.union(*(all_subclasses(each) for each in of.__subclasses__()))


def test_no_error_of_the_service_is_unforeseen() -> None:
    """Each kind of `FilterError` and `LanguageError` is told as what it is."""
    made: list[Exception] = [
        errors.KafkaUnavailableError("a", "b"),
        errors.InvalidSubscriptionError("topic", "a"),
        errors.SubscriptionIdError(0),
        errors.PositionGoneError(0, 0, None),
        errors.TopicReplacedError("a"),
        errors.TooManySubscriptionsError(1),
        errors.TooManyLongQueriesError(1),
        errors.DrainingError(),
    ]
    for where in ("a", "a=b:1;", 'a=in:"\\q";', "a=gt:1,2;", "a=gt:b;"):
        with pytest.raises(LanguageError) as raised:
            compile_where(where)
        made.append(raised.value)
    bases = {errors.FilterError, LanguageError}
    assert {type(each) for each in made} == set().union(*map(all_subclasses, bases)) - bases
    assert pb.REJECTION_CODE_INTERNAL not in {rejection(each).code for each in made}
