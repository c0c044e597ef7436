"""`Session`: many subscriptions on one stream, with records shared between them. Real service, real Kafka."""

import asyncio
import json

from kafka_ws.filter.v1 import filter_pb2 as pb

from tests.conftest import CreateTopic, MakeTopicName
from tests.filter_service.client import EARLIEST, Client, at_position, subscription
from tests.filter_service.conftest import Connect, StartService
from tests.filter_service.service import FilterService
from tests.filter_service.test_subscribe import numbered
from tests.kafka.cluster import KafkaCluster
from tests.kafka.records import RecordWriter


async def test_a_value_that_several_take_is_sent_once(
    client: Client, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """Subscriptions share the values of a batch; only different projections of a record are different values."""
    topic = create_topic()
    async with client.session() as session:
        await session.open(1, topic)
        await session.open(2, topic)
        await session.open(3, topic, where="n=gte:5;")
        await session.open(4, topic, fields="n")
        await session.open(5, topic, where="n=gte:5;", fields="n")
        await session.open(6, topic, where="n=lt:0;")
        await session.served(1, 2, 3, 4, 5, 6)
        values = [b'{"n":%d,"m":0}' % number for number in range(10)]
        records.write_all(topic, values)
        cut = numbered(0, 10)
        for number, expected in {1: values, 2: values, 3: values[5:], 4: cut, 5: cut[5:]}.items():
            assert await session.values(number, len(expected)) == expected
        assert session.followers[6].records == []
        sent = [value for message in session.batches for value in message.batch.values]
        assert sorted(sent) == sorted([*values, *cut])


async def test_topics_and_sessions_do_not_mix(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """Numbers are of one session, and each subscription gets the records of its own topic."""
    first, second = create_topic(), create_topic()
    async with client.session() as one, client.session() as another:
        await one.open(1, first)
        await one.open(2, second)
        await another.open(1, second)
        records.write(first, b'{"topic":1}')
        records.write(second, b'{"topic":2}')
        assert await one.values(1, 1) == [b'{"topic":1}']
        assert await one.values(2, 1) == await another.values(1, 1) == [b'{"topic":2}']


async def test_metadata_is_only_for_those_who_asked(
    client: Client, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """A session without such a subscription is sent none; with one, it can tell whose record is whose."""
    topic = create_topic()
    async with client.session() as plain, client.session() as session:
        await plain.open(1, topic)
        await session.open(1, topic, with_metadata=True, where="n=eq:1;")
        records.write(topic, b'{"n":0}', key=b"zero")
        records.write(topic, b'{"n":1}', key=b"one", headers=[("h", None)])
        await plain.values(1, 2)
        await session.values(1, 1)
        assert not any(message.batch.metadata for message in plain.batches)
        metadata = session.followers[1].records[0].metadata
        assert metadata == pb.RecordMetadata(key=b"one", headers=[pb.Header(key="h")])


async def test_a_subscription_that_joins_and_one_that_leaves(
    client: Client, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """Others come and go while records flow, and nobody misses one or gets one twice."""
    topic = create_topic(partitions=2)
    total = 2_000
    async with client.session() as session:
        await session.open(1, topic)
        writing = asyncio.gather(
            *(asyncio.to_thread(records.write_all, topic, numbered(0, total), partition=p) for p in range(2))
        )
        number = 1
        while not writing.done():
            number += 1
            position = dict(session.followers[1].positions)
            await session.open(number, topic, start=at_position(position))
            if number % 2:
                await session.close(number - 1)
        await writing
        for each in {1, number, *range(2, number, 2)} - session.gone:
            begin = session.opens[each].start.next_offsets
            await session.values(each, sum(total - begin[partition] for partition in range(2)))
            for partition in range(2):
                assert session.followers[each].values(partition) == numbered(begin[partition], total - begin[partition])


async def test_nothing_comes_for_a_number_after_it_was_given_anew(
    client: Client, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """A number may be used again at once: what was on its way for the old subscription is not taken for the new."""
    old, new = create_topic(), create_topic()
    values = [b'{"old":%d,"padding":"%s"}' % (number, b"x" * 1_000) for number in range(3_000)]
    records.write_all(old, values)
    records.write_all(new, numbered(0, 1))
    async with client.session() as session:
        for _ in range(10):
            await session.open(1, old, start=EARLIEST)
            await session.values(1, 1)
            await session.close(1)
            session.opens.clear()
            await session.open(1, new, start=EARLIEST)
            assert await session.values(1, 1) == numbered(0, 1)
            await session.close(1)
            session.opens.clear()


async def test_closed_before_it_was_opened(
    service: FilterService, client: Client, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """`close` right behind `open` leaves nothing open, and the number is free."""
    topic = create_topic()
    before = service.metric("kafka_ws_filter_subscriptions")
    async with client.session() as session:
        for _ in range(50):
            await session.ask(1, subscription(topic))
            await session.close(1)
        await session.ask(1, subscription(topic))
        await session.until(lambda: session.opens)
        assert session.rejections == {}
        await session.open(2, topic)
        assert service.metric("kafka_ws_filter_subscriptions") == before + 2
        records.write(topic, b'{"n":0}')
        assert await session.values(2, 1) == [b'{"n":0}']


async def test_progress(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """Positions of quiet and fully filtered topics move for every subscription, also for one that came later."""
    topic = create_topic(partitions=2)
    async with client.session() as session:
        await session.open(1, topic, where="n=lt:0;")
        await session.open(2, topic, where="n=gte:0;")
        records.write_all(topic, numbered(0, 20), partition=1)
        await session.open(3, topic, start=EARLIEST, where="n=lt:0;")
        await session.until(lambda: all(session.followers[number].positions == {0: 0, 1: 20} for number in (1, 2, 3)))
        assert len(session.followers[2].records) == 20
        assert session.followers[1].records == session.followers[3].records == []


async def test_many_at_once(client: Client, create_topic: CreateTopic, topic: MakeTopicName) -> None:
    """Thousands of subscriptions may be opened without waiting for answers: each gets one."""
    existing, missing = create_topic(partitions=3), topic()
    async with client.session() as session:
        for number in range(1, 3_001):
            wanted = (existing, missing)[number % 2], None, ("", f"n=eq:{number};", "wrong")[number % 3]
            await session.ask(number, subscription(*wanted))
        await session.until(lambda: len(session.opens) + len(session.rejections) == 3_000)
        assert set(session.rejections) == {number for number in range(1, 3_001) if number % 3 == 2}


async def test_many_in_one_message(
    service: FilterService, client: Client, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """Each that one message opens has its own answer, and each that it closes, opened by it or before, is closed."""
    topic = create_topic()
    before = service.metric("kafka_ws_filter_subscriptions")
    async with client.session() as session:
        await session.open(1000, topic)
        wheres = {number: "wrong" if number % 10 == 3 else f"n=eq:{number};" for number in range(1, 301)}
        requests = [
            pb.SessionRequest(open=pb.Open(subscription_id=number, subscription=subscription(topic, where=where)))
            for number, where in [*wheres.items(), (7, "")]
        ]
        requests += [pb.SessionRequest(close=pb.Close(subscription_id=number)) for number in (299, 300, 1000)]
        await session.send(pb.SessionRequest(several=pb.SessionRequest.Several(requests=requests)))
        refused = {7, *(number for number, where in wheres.items() if where == "wrong")}
        good = wheres.keys() - refused - {299, 300}
        await session.until(lambda: session.opens.keys() >= {7, *good} and session.rejections.keys() >= refused)
        assert session.rejections[7].reason == "subscription id 7 is in use on this session"
        await session.until(lambda: service.metric("kafka_ws_filter_subscriptions") == before + len(good) + 1)
        # Hundreds of answers, a few messages.
        assert 10 < session.most_at_once <= 100
        records.write(topic, b'{"n":298}')
        assert await session.values(298, 1) == [b'{"n":298}']


async def test_who_sends_one_by_one_is_answered_so(client: Client, create_topic: CreateTopic) -> None:
    """An edge that has not said that it knows better gets a message for each."""
    topic = create_topic()
    async with client.session() as session:
        for number in range(1, 301):
            await session.ask(number, subscription(topic))
        await session.until(lambda: len(session.opens) == 300)
        assert session.most_at_once == 1


async def test_a_position_that_is_gone(
    client: Client, kafka: KafkaCluster, create_topic: CreateTopic, records: RecordWriter
) -> None:
    """Only the subscription that asked for it is rejected."""
    topic = create_topic()
    records.write_all(topic, numbered(0, 5))
    kafka.delete_records(topic, before=2)
    async with client.session() as session:
        await session.open(1, topic, start=at_position({0: 2}))
        rejection = await session.refused(2, subscription(topic, at_position({0: 1})))
        assert rejection.code == pb.REJECTION_CODE_POSITION_GONE
        assert rejection.reason == "partition 0: offset 1 is gone, first offset is 2"
        assert await session.values(1, 3) == numbered(2, 3)


async def test_too_many(start_service: StartService, connect: Connect, create_topic: CreateTopic) -> None:
    """More subscriptions than one session may hold are rejected as unavailable, also when opened all at once."""
    service = await asyncio.to_thread(start_service, {"KAFKA_WS_FILTER_MAX_SUBSCRIPTIONS": "5"})
    topic = create_topic()
    async with connect(service).session() as session:
        for number in range(1, 9):
            await session.ask(number, subscription(topic))
        await session.until(lambda: len(session.opens) + len(session.rejections) == 8)
        assert len(session.opens) == 5
        assert {rejection.code for rejection in session.rejections.values()} == {pb.REJECTION_CODE_UNAVAILABLE}
        await session.close(next(iter(session.opens)))
        await session.open(9, topic)


async def test_a_session_that_goes_away(service: FilterService, client: Client, create_topic: CreateTopic) -> None:
    """Its subscriptions end with it, whether it is ended in order or not."""
    topic = create_topic()
    before = service.metric("kafka_ws_filter_subscriptions")
    async with client.session() as session:
        await session.open(1, topic)
        await session.open(2, topic)
        assert service.metric("kafka_ws_filter_subscriptions") == before + 2
    while service.metric("kafka_ws_filter_subscriptions") > before:  # noqa: ASYNC110  (nobody signals it)
        await asyncio.sleep(0.02)


async def test_more_than_one_message_may_hold(client: Client, create_topic: CreateTopic, records: RecordWriter) -> None:
    """A large record that many cut differently comes in several messages, and the session goes on."""
    topic = create_topic()
    members = {f"m{number}": number for number in range(16)}
    large = json.dumps({**members, "padding": "x" * 5_000_000}).encode()
    async with client.session() as session:
        for number in range(16):
            await session.open(number + 1, topic, fields=f"m{number},padding")
        records.write(topic, large)
        records.write(topic, b'{"padding":0}')
        for number in range(16):
            first, second = await session.values(number + 1, 2)
            assert json.loads(first) == {f"m{number}": number, "padding": "x" * 5_000_000}
            assert second == b'{"padding":0}'


async def test_quiet_sessions_get_signs_of_life(client: Client) -> None:
    """The status comes again and again, though nothing is open and nothing changes."""
    async with client.session() as session:
        await session.until(lambda: session.signs_of_life >= 3)
        assert session.kafka_available == [True]
