"""Requests that no replica could serve: what the client is told, over real gRPC."""

import pytest
from kafka_ws.filter.v1 import filter_pb2 as pb

from tests.conftest import CreateTopic
from tests.filter_service.client import Client, Failure, at_position, at_time, subscription

LONG = "x" * 65_537

WRONG_REQUESTS = [
    (subscription(""), "topic: must be named", pb.REJECTED_PART_TOPIC),
    (
        subscription("admin.t", partitions=[0, -1]),
        "partitions: -1 is negative",
        pb.REJECTED_PART_TOPIC,
    ),
    (
        subscription("admin.t", and_from=-(2**31)),
        "partitions: -2147483648 is negative",
        pb.REJECTED_PART_TOPIC,
    ),
    (
        subscription("admin.t", partitions=[]),
        "partitions: none is selected; leave the selection out for all",
        pb.REJECTED_PART_TOPIC,
    ),
    (subscription("admin.t", at_time(-1)), "start: timestamp -1 is negative", pb.REJECTED_PART_START),
    (
        subscription("admin.t", at_position({0: 5, 1: -2})),
        "start: offset -2 of partition 1 is negative",
        pb.REJECTED_PART_START,
    ),
    (subscription("admin.t", at_position({-3: 5})), "start: partition -3 is negative", pb.REJECTED_PART_START),
]


@pytest.mark.parametrize(("wanted", "reason", "part"), WRONG_REQUESTS, ids=lambda value: str(value)[:40])
async def test_a_request_that_can_never_be_right(
    client: Client, wanted: pb.Subscription, reason: str, part: pb.RejectedPart.ValueType
) -> None:
    """`Subscribe` ends with INVALID_ARGUMENT and a session's `open` is rejected; the reason names the value."""
    expected = pb.Rejection(code=pb.REJECTION_CODE_INVALID_SYNTAX, reason=reason, part=part)
    assert await client.refused(wanted) == Failure("INVALID_ARGUMENT", f"4000 {reason}", expected)
    async with client.session() as session:
        assert await session.refused(7, wanted) == expected


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a b", "'a b'"),
        ("a/b", "'a/b'"),
        ("a\n\x00", r"'a\n\x00'"),
        ("température", "'température'"),
        ("٣", "'٣'"),
        (".", "'.'"),
        ("..", "'..'"),
        ("x" * 250, f"'{'x' * 60}…'"),
    ],
)
async def test_a_topic_that_can_never_be(client: Client, name: str, shown: str) -> None:
    """A backend is told; an edge's client waits, as for any topic that does not exist (behaviour knows no code)."""
    reason = f"topic: {shown} can never be a Kafka topic: 1 to 249 ASCII letters, digits, '.', '_' and '-' are allowed"
    expected = pb.Rejection(code=pb.REJECTION_CODE_INVALID_SYNTAX, reason=reason, part=pb.REJECTED_PART_TOPIC)
    assert await client.refused(subscription(name)) == Failure("INVALID_ARGUMENT", f"4000 {reason}", expected)
    async with client.session() as session:
        opened = await session.open(7, name)
        assert opened.partition_count == 0


async def test_partitions_that_a_topic_does_not_have(client: Client, create_topic: CreateTopic) -> None:
    """A position in a partition that does not exist is of another topic, and refused."""
    topic = create_topic(partitions=2)
    failure = await client.refused(subscription(topic, at_position({0: 0, 2: 5, 7: 1})))
    assert failure.status == "INVALID_ARGUMENT"
    assert failure.details == f"4000 start: {topic} has no partition 2"
    assert failure.rejection is not None
    assert failure.rejection.part == pb.REJECTED_PART_START


async def test_numbers_that_cannot_be_used(client: Client, create_topic: CreateTopic) -> None:
    """0 and a number in use are rejected; what the number stands for goes on."""
    topic = create_topic()
    async with client.session() as session:
        await session.open(3, topic)
        for number, reason in (
            (0, "subscription id 0 is reserved; count from 1"),
            (3, "subscription id 3 is in use on this session"),
        ):
            rejection = await session.refused(number, subscription(topic))
            assert rejection == pb.Rejection(code=pb.REJECTION_CODE_INVALID_SYNTAX, reason=reason)
        await session.close(99)
        await session.send(pb.SessionRequest())
        await session.open(2**64 - 1, topic)


WHERE = pb.REJECTED_PART_WHERE
FIELDS = pb.REJECTED_PART_FIELDS


@pytest.mark.parametrize(
    ("where", "fields", "code", "reason", "part", "offset", "length"),
    [
        ("a=itn:5;", "", pb.REJECTION_CODE_INVALID_OPERATOR, "invalid operator 'itn'", WHERE, 2, 3),
        ("é=gt:x;", "", pb.REJECTION_CODE_INVALID_VALUE, "invalid value x for operator 'gt'", WHERE, 5, 1),
        ("a=gt:1,2;", "", pb.REJECTION_CODE_INVALID_OPERATOR_ARITY, "invalid arity 2 for 'gt'", WHERE, 5, 3),
        ('a=in:"\\q";', "", pb.REJECTION_CODE_INVALID_ESCAPE_VALUE, "invalid escape value \\q", WHERE, 6, 2),
        ("a=b", "", pb.REJECTION_CODE_INVALID_SYNTAX, "invalid syntax", WHERE, 3, 0),
        ("", "a(", pb.REJECTION_CODE_INVALID_SYNTAX, "invalid syntax", FIELDS, 2, 0),
        (LONG, "", pb.REJECTION_CODE_INVALID_SYNTAX, "invalid syntax", WHERE, 65_536, 1),
        ("", LONG, pb.REJECTION_CODE_INVALID_SYNTAX, "invalid syntax", FIELDS, 65_536, 1),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else str(value),
)
async def test_a_wrong_query(
    client: Client,
    create_topic: CreateTopic,
    where: str,
    fields: str,
    code: pb.RejectionCode.ValueType,
    reason: str,
    part: pb.RejectedPart.ValueType,
    offset: int,
    length: int,
) -> None:
    """Code, reason and place of an error are the same from all three calls."""
    expected = pb.Rejection(code=code, reason=reason, part=part, text_offset=offset, text_length=length)
    topic = create_topic()
    assert (await client.validate(where, fields)).rejection == expected
    failure = await client.refused(subscription(topic, where=where, fields=fields))
    assert failure == Failure("INVALID_ARGUMENT", f"{expected.code} {expected.reason}", expected)
    async with client.session() as session:
        assert await session.refused(1, subscription(topic, where=where, fields=fields)) == expected


async def test_an_error_in_both_texts(client: Client) -> None:
    """`where` is looked at before `fields`."""
    answer = await client.validate("a=b", "a(")
    assert answer.rejection.part == pb.REJECTED_PART_WHERE


async def test_canonical_forms(client: Client) -> None:
    """Equal queries have equal texts, which are valid and their own canonical form."""
    first = (await client.validate("temperature=gte:30.0;status=in:b,a;", "b,a/c,a/b")).canonical
    second = (await client.validate('temperature=gte:3e1;status=in:"b",a;', "a(b,c),b")).canonical
    assert first == second
    assert first.where
    assert first.fields
    again = (await client.validate(first.where, first.fields)).canonical
    assert again == first
    assert (await client.validate()).canonical == pb.Query()
