"""The cases of the contract over real WebSockets, through all tiers and a real Kafka.

Every sample case, and every third of those that were added: all of these run in process.
"""

import asyncio
import json

import pytest

from tests.cases.cases import FILE, MORE, Case, Closed, NothingSent, Sent, load, same_json
from tests.conftest import CreateTopic
from tests.kafka.records import RecordWriter
from tests.stack.client import Client, CloseEvent, Socket

END = {"end of case": True}


@pytest.fixture(scope="module")
def case_topic(create_topic: CreateTopic) -> str:
    """One topic for all cases: they run one after the other."""
    return create_topic()


async def open_case(client: Client, topic: str, case: Case) -> Socket:
    """A socket that asks for what the case asks for, on the case's own query string if it has one."""
    if case.query is not None:
        return await client.connect(topic, query=case.query)
    return await client.connect(topic, where=case.where, fields=case.fields)


@pytest.mark.parametrize("case", [*load(FILE), *load(MORE)[::3]], ids=lambda case: case.id)
async def test_a_sample_case_has_its_outcome_over_websockets(
    client: Client, records: RecordWriter, case_topic: str, case: Case
) -> None:
    """A client sees the close code, the one frame, or the silence on an open socket that the sample promises."""
    async with await open_case(client, case_topic, case) as socket:
        if isinstance(case.outcome, Closed):
            assert await socket.closed() == CloseEvent(case.outcome.code, case.outcome.reason)
            return
        async with await client.connect(case_topic) as unfiltered:
            await asyncio.to_thread(records.write_all, case_topic, [case.payload, json.dumps(END).encode()])
            if isinstance(case.outcome, Sent):
                assert same_json(await socket.value(), case.outcome.value)
            while await unfiltered.value() != END:
                pass
        if isinstance(case.outcome, NothingSent):
            await assert_silent_and_open(socket)


async def assert_silent_and_open(socket: Socket) -> None:
    """The edge has handled END, so a frame would stand before the pong: nothing but END itself may have come."""
    pong = await socket.connection.ping()
    await asyncio.wait_for(pong, 30)
    received = []
    while True:
        try:
            received.append(json.loads(await asyncio.wait_for(socket.connection.recv(), 0.001)))
        except TimeoutError:
            break
    assert [value for value in received if value != END] == []
