"""How much of long queries a process holds: the numbers, and what clients of a real service see of them."""

import pytest
from kafka_ws.filter.v1 import filter_pb2 as pb

from filter_service.errors import TooManyLongQueriesError
from filter_service.query_budget import QueryBudget
from filter_service.query_compiler import INLINE_LENGTH
from tests.conftest import CreateTopic
from tests.filter_service.client import subscription
from tests.filter_service.conftest import Connect, StartService

LONG = "a=in:" + "b" * INLINE_LENGTH + ";"


def test_only_long_queries_count() -> None:
    """Any number of short ones fits, whatever long ones hold; what is given back can be taken again."""
    budget = QueryBudget(2 * len(LONG))
    taken = [budget.take(LONG, ""), budget.take("", LONG)]
    assert taken == [len(LONG), len(LONG)]
    with pytest.raises(TooManyLongQueriesError):
        budget.take(LONG, "")
    assert [budget.take("a=1;", "b") for _ in range(1_000)] == [0] * 1_000
    budget.give_back(taken[0])
    assert budget.take(LONG, "") == len(LONG)


async def test_more_long_queries_than_allowed(
    start_service: StartService, connect: Connect, create_topic: CreateTopic
) -> None:
    """They are refused as unavailable, short ones are served; those that end, or never began, leave their room."""
    topic = create_topic()
    client = connect(start_service({"KAFKA_WS_FILTER_MAX_QUERY_TOTAL": str(2 * len(LONG))}))
    async with client.session() as session:
        await session.open(1, topic, where=LONG)
        for number in range(10, 15):
            assert (await session.refused(number, subscription(topic, where=LONG[:-1]))).code == 4000
        await session.open(2, topic, where=LONG)
        refused = await session.refused(3, subscription(topic, where=LONG))
        assert refused.code == pb.REJECTION_CODE_UNAVAILABLE
        await session.open(4, topic, where="a=1;")
        await session.close(1)
        await session.open(5, topic, fields="b" * len(LONG))
        async with client.session() as another:
            refused = await another.refused(1, subscription(topic, where=LONG))
            assert refused.code == pb.REJECTION_CODE_UNAVAILABLE
