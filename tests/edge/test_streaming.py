"""The edge between scripted replicas: sharing, order, failover, slow consumers, ends."""

import asyncio
import json
from collections.abc import Iterable

import pytest
from kafka_ws.filter.v1 import filter_pb2
from websockets.exceptions import InvalidStatus

from edge import metrics
from tests.edge.conftest import MakeSystem, System, eventually
from tests.stack.client import CloseEvent, Socket


def numbered(count: int, first: int = 0) -> list[bytes]:
    return [json.dumps({"n": number}).encode() for number in range(first, first + count)]


def write(system: System, values: Iterable[bytes], topic: str = "admin.t", partition: int = 0) -> None:
    for value in values:
        system.logs.write(topic, value, partition)


async def numbers(socket: Socket, count: int) -> list[int]:
    return [each["n"] for each in await socket.values(count)]


async def test_records_reach_every_socket_in_order(make_system: MakeSystem) -> None:
    """Each socket gets every record after its handshake once, in order."""
    system = await make_system()
    sockets = [await system.connect() for _ in range(5)]
    write(system, numbered(100))
    for socket in sockets:
        assert await numbers(socket, 100) == list(range(100))


async def test_equal_requests_share_one_subscription(make_system: MakeSystem) -> None:
    """Sockets with the same texts hang on one upstream subscription; another text is another one."""
    system = await make_system()
    for _ in range(3):
        await system.connect(where="n")
    await system.connect(where="n ")
    assert system.open_count == 2


async def test_record_right_after_handshake_is_delivered(make_system: MakeSystem) -> None:
    """A record written once the client has seen 101 arrives, on new and on open subscriptions, behind other traffic."""
    system = await make_system()
    for attempt in range(50):
        topic = f"admin.t{attempt % 10}"
        socket = await system.connect(topic)
        text = json.dumps({"attempt": attempt})
        system.logs.write(topic, text.encode())
        while await socket.text() != text:
            pass
        if attempt % 3 == 0:
            await socket.close()


async def test_last_socket_closes_the_subscription(make_system: MakeSystem) -> None:
    """Without sockets nothing stays open at the filter service."""
    system = await make_system()
    sockets = [await system.connect() for _ in range(2)]
    await sockets[0].close()
    assert system.open_count == 1
    await sockets[1].close()
    await eventually(lambda: system.open_count == 0, "the subscription is closed")


async def test_subscription_lingers_for_the_next_socket(make_system: MakeSystem) -> None:
    """A subscription outlives its last socket for a while, and is taken over without opening another."""
    system = await make_system(server_linger_sec=30.0)
    await (await system.connect()).close()
    socket = await system.connect()
    write(system, numbered(1))
    assert await numbers(socket, 1) == [0]
    assert len(system.replicas[0].opens) == 1


async def test_client_that_leaves_during_opening_leaks_nothing(make_system: MakeSystem) -> None:
    """A client that goes away before its subscription is open leaves neither a subscription nor a place behind."""
    system = await make_system()
    system.replicas[0].answers.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", system.port)
    target = system.client.target("admin.t", ticket=system.ticket())
    writer.write(
        f"GET {target} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    await eventually(lambda: system.replicas[0].opens, "the subscription is being opened")
    writer.close()
    await asyncio.sleep(0.05)
    system.replicas[0].answers.set()
    await eventually(lambda: system.open_count == 0 and system.edge.connection_count == 0, "nothing is held")
    assert await reader.read() == b""
    socket = await system.connect()
    write(system, numbered(1))
    assert await numbers(socket, 1) == [0]


@pytest.mark.parametrize("takes_several", [True, False], ids=["in a few messages", "as an old replica wants it"])
async def test_what_is_asked_for_at_once_goes_together(make_system: MakeSystem, takes_several: bool) -> None:
    """When a replica dies the next one gets all its subscriptions, as it takes them, and serves each."""
    system = await make_system(replicas=2)
    system.replicas[1].takes_several = takes_several
    await system.replicas[1].kill()
    sockets = [await system.connect(where=f'"n":{number},') for number in range(100)]
    await system.replicas[1].start()
    await eventually(lambda: system.replicas[1].sessions, "the edge has a second replica")
    other = system.replicas[1]
    before = other.open_count
    await system.replicas[0].kill()
    await eventually(lambda: other.open_count == 100, "the other replica serves all")
    assert other.most_asked >= (100 - before) // 4 if takes_several else other.most_asked == 1
    write(system, [b'{"n":%d,"x":0}' % number for number in range(100)])
    for number, socket in enumerate(sockets):
        assert await numbers(socket, 1) == [number]


async def test_killed_replica_is_replaced(make_system: MakeSystem) -> None:
    """When the replica that serves a topic dies, another continues: nothing is lost, nothing comes twice."""
    system = await make_system(replicas=3, batch=3)
    sockets = [await system.connect() for _ in range(3)]
    for round_ in range(2):
        write(system, numbered(200, 200 * round_))
        holder = system.holder()
        await holder.kill()
        write(system, numbered(100, 400 + 1000 * round_))
        for socket in sockets:
            assert await numbers(socket, 200) == list(range(200 * round_, 200 * round_ + 200))
            assert await numbers(socket, 100) == list(range(400 + 1000 * round_, 500 + 1000 * round_))


async def test_the_last_replica_is_asked_once_for_each_lost_share(make_system: MakeSystem) -> None:
    """Who has taken over the share of a dead replica beside its own serves both: nothing is opened again as a whole."""
    system = await make_system(replicas=2)
    for partition in range(6):
        write(system, [b"{}"], partition=partition)
    socket = await system.connect()
    await eventually(lambda: all(replica.open_count == 1 for replica in system.replicas), "both have a share")
    last = system.replicas[1]
    before = len(last.opens)
    await system.replicas[0].kill()
    await eventually(lambda: last.open_count == 2, "the other has both")
    # Longer than it takes until shares are looked at again.
    await asyncio.sleep(1.5)
    assert (len(last.opens) - before, last.open_count) == (1, 2)
    for partition in range(6):
        write(system, numbered(1, partition), partition=partition)
    assert sorted(await numbers(socket, 6)) == list(range(6))


async def test_lone_replica_comes_back(make_system: MakeSystem) -> None:
    """Sockets stay open while the only replica is away, and get what was written meanwhile; new clients get 503."""
    system = await make_system()
    system.logs.write("admin.t", b"{}")
    socket = await system.connect()
    replica = system.replicas[0]
    await replica.kill()
    await eventually(lambda: not system.edge.is_ready, "the edge is not ready")
    write(system, numbered(50))
    with pytest.raises(InvalidStatus) as refusal:
        await system.connect()
    assert refusal.value.response.status_code == 503
    await replica.start()
    assert await numbers(socket, 50) == list(range(50))
    reopened = replica.opens[-1].subscription
    assert dict(reopened.start.position.next_offsets) == {0: 1}


async def test_topic_that_did_not_exist_is_reopened_from_its_beginning(make_system: MakeSystem) -> None:
    """A topic that appears while no replica is there is read from its first record."""
    system = await make_system()
    socket = await system.connect("admin.new")
    await system.replicas[0].kill()
    write(system, numbered(3), "admin.new")
    await system.replicas[0].start()
    assert await numbers(socket, 3) == [0, 1, 2]


async def test_draining_replica_is_left_before_it_stops(make_system: MakeSystem) -> None:
    """On a drain the subscription is opened elsewhere first and then closed here, while records flow."""
    system = await make_system(replicas=2, batch=3)
    sockets = [await system.connect() for _ in range(3)]
    draining = system.holder()
    for part in range(20):
        write(system, numbered(20, 20 * part))
        if part == 5:
            draining.drain()
        await asyncio.sleep(0.005)
    for socket in sockets:
        assert await numbers(socket, 400) == list(range(400))
    await eventually(lambda: draining.open_count == 0, "the draining replica is left")
    assert system.open_count == 1


async def test_draining_replica_serves_until_another_delivers(make_system: MakeSystem) -> None:
    """On a drain records go on coming from the old replica as long as the new one has answered but reads nothing."""
    system = await make_system(replicas=2)
    socket = await system.connect()
    write(system, numbered(5))
    assert await numbers(socket, 5) == list(range(5))
    draining = system.holder()
    (other,) = [replica for replica in system.replicas if replica is not draining]
    other.reads = False
    draining.drain()
    await eventually(lambda: other.open_count == 1, "it is open at the other replica")
    write(system, numbered(5, 5))
    assert await numbers(socket, 5) == list(range(5, 10))
    assert draining.open_count == 1
    other.go_on_reading()
    await eventually(lambda: draining.open_count == 0, "the draining replica is left")
    write(system, numbered(5, 10))
    assert await numbers(socket, 5) == list(range(10, 15))


async def test_draining_replica_ends_before_another_delivers(make_system: MakeSystem) -> None:
    """When the old replica is gone before the new one reads, the new one serves alone: nothing is opened again."""
    system = await make_system(replicas=2)
    socket = await system.connect()
    draining = system.holder()
    (other,) = [replica for replica in system.replicas if replica is not draining]
    other.reads = False
    draining.drain()
    await eventually(lambda: other.open_count == 1, "it is open at the other replica")
    await draining.kill()
    await eventually(lambda: system.edge.filter_client.ready_count == 1, "the draining replica is gone")
    write(system, numbered(5))
    other.go_on_reading()
    assert await numbers(socket, 5) == list(range(5))
    assert (len(other.opens), other.open_count) == (1, 1)


async def test_replica_that_never_delivers_is_believed(make_system: MakeSystem) -> None:
    """A drain does not wait for ever: after some seconds the old replica is left, whatever the new one has told."""
    system = await make_system(replicas=2)
    socket = await system.connect()
    draining = system.holder()
    (other,) = [replica for replica in system.replicas if replica is not draining]
    other.reads = False
    draining.drain()
    await eventually(lambda: draining.open_count == 0, "the draining replica is left")
    other.go_on_reading()
    write(system, numbered(5))
    assert await numbers(socket, 5) == list(range(5))


async def test_new_replica_takes_its_share(make_system: MakeSystem) -> None:
    """A replica that joins is given the topics that placement names, while records flow."""
    system = await make_system(replicas=2)
    late = system.replicas[1]
    await late.kill()
    await eventually(lambda: system.edge.filter_client.ready_count == 1, "one replica is gone")
    topics = [f"admin.t{number}" for number in range(20)]
    sockets = [await system.connect(topic) for topic in topics]
    await late.start()
    for part in range(100):
        for topic in topics:
            write(system, numbered(1, part), topic)
        await asyncio.sleep(0.01)
    for socket in sockets:
        assert await numbers(socket, 100) == list(range(100))
    await eventually(lambda: 0 < late.open_count < 20 and system.open_count == 20, "the share has moved")


async def test_no_replica_for_too_long(make_system: MakeSystem) -> None:
    """Sockets that nobody can serve within the configured time are closed with 4503."""
    system = await make_system(server_unavailable_timeout_sec=0.5)
    socket = await system.connect()
    await system.replicas[0].kill()
    assert await socket.closed() == CloseEvent(4503, "Server unavailable at this moment")


async def test_no_kafka_for_too_long(make_system: MakeSystem) -> None:
    """Sockets whose replicas have been without Kafka for the configured time are closed with 4503."""
    system = await make_system(server_unavailable_timeout_sec=0.5)
    socket = await system.connect()
    system.replicas[0].set_kafka(False)
    assert await socket.closed() == CloseEvent(4503, "Server unavailable at this moment")


async def test_kafka_away_for_a_moment(make_system: MakeSystem) -> None:
    """While Kafka is away new clients get 503 and open sockets wait; it goes on when Kafka is back."""
    system = await make_system()
    socket = await system.connect()
    system.replicas[0].set_kafka(False)
    await eventually(lambda: not system.edge.is_ready, "the edge is not ready")
    with pytest.raises(InvalidStatus) as refusal:
        await system.connect()
    assert refusal.value.response.status_code == 503
    write(system, numbered(3))
    system.replicas[0].set_kafka(True)
    assert await numbers(socket, 3) == [0, 1, 2]


async def test_replica_without_kafka_is_left(make_system: MakeSystem) -> None:
    """When only one replica loses Kafka, its subscriptions move to one that has it."""
    system = await make_system(replicas=2)
    socket = await system.connect()
    system.holder().set_kafka(False)
    write(system, numbered(5))
    assert await numbers(socket, 5) == list(range(5))


async def test_unavailable_replica_is_passed_over(make_system: MakeSystem) -> None:
    """A replica that rejects as unavailable is not the last word: another one serves the client."""
    system = await make_system(replicas=2)
    full = filter_pb2.Rejection(code=filter_pb2.REJECTION_CODE_UNAVAILABLE, reason="full")
    first, second = system.replicas
    first.rejection = full
    for number in range(10):
        await system.connect(f"admin.t{number}")
    assert (first.open_count, second.open_count) == (0, 10)
    second.rejection = full
    with pytest.raises(InvalidStatus) as refusal:
        await system.connect("admin.other")
    assert refusal.value.response.status_code == 503


async def test_filter_that_does_not_answer(make_system: MakeSystem) -> None:
    """A subscription that is not open within the configured time is refused with 503."""
    system = await make_system(filter_open_timeout_sec=0.2)
    system.replicas[0].answers.clear()
    with pytest.raises(InvalidStatus) as refusal:
        await system.connect()
    assert refusal.value.response.status_code == 503


async def test_subscription_ended_by_the_filter(make_system: MakeSystem) -> None:
    """What the filter ends is closed with its code and reason, for all sockets."""
    system = await make_system()
    sockets = [await system.connect() for _ in range(2)]
    system.replicas[0].end(filter_pb2.REJECTION_CODE_POSITION_GONE, "partition 0 begins at offset 7")
    for socket in sockets:
        assert await socket.closed() == CloseEvent(4410, "partition 0 begins at offset 7")


async def test_long_reason_is_cut(make_system: MakeSystem) -> None:
    """A reason that does not fit is cut at 123 bytes, between characters, in a proper close frame."""
    system = await make_system()
    socket = await system.connect(where="bad" + "é" * 100)
    assert await socket.closed() == CloseEvent(4000, "invalid syntax" + "é" * 54)


async def pour(system: System, socket: Socket, *, records: int, size: int) -> None:
    """Write more than a socket takes that nobody reads, while another one is read."""
    padding = "x" * size
    for number in range(records):
        system.logs.write("admin.t", json.dumps({"n": number, "padding": padding}).encode())
        if number % 50 == 0:
            await asyncio.sleep(0)
    assert await numbers(socket, records) == list(range(records))


@pytest.fixture
async def slow_system(make_system: MakeSystem) -> System:
    """A system whose sockets count as slow soon."""
    return await make_system(
        server_slow_consumer_high_mark=64 * 1024,
        server_slow_consumer_low_mark=16 * 1024,
        server_write_limit=32 * 1024,
        server_slow_consumer_timeout_sec=1.0,
    )


async def slow_socket(system: System) -> Socket:
    """A socket that takes nothing beyond a small buffer until it is read."""
    socket = await system.connect()
    socket.connection.transport.pause_reading()
    return socket


async def test_slow_socket_gets_everything_later(make_system: MakeSystem) -> None:
    """A socket that stops reading loses nothing and gets nothing twice; the others do not wait for it."""
    system = await make_system(
        server_slow_consumer_high_mark=64 * 1024, server_slow_consumer_low_mark=16 * 1024, server_write_limit=32 * 1024
    )
    slow, quick = await slow_socket(system), await system.connect()
    detaches = metrics.DETACHES._value.get()
    await pour(system, quick, records=6000, size=2000)
    assert metrics.DETACHES._value.get() > detaches, "the socket has never been slow"
    assert max(client.waiting_bytes for client in system.edge.clients) < 64 * 1024 + 32 * 1024 + 10 * 2100
    slow.connection.transport.resume_reading()
    assert await numbers(slow, 6000) == list(range(6000))
    write(system, numbered(10, 6000))
    assert await numbers(slow, 10) == list(range(6000, 6010))
    assert await numbers(quick, 10) == list(range(6000, 6010))
    await eventually(lambda: system.open_count == 1, "it shares a subscription again")


async def test_stalled_socket_is_closed(slow_system: System) -> None:
    """A socket that takes nothing for the configured time is given up, and its place is free again."""
    stalled, quick = await slow_socket(slow_system), await slow_system.connect()
    closes = metrics.CLOSES.labels(4429)._value
    before = closes.get()
    await pour(slow_system, quick, records=6000, size=2000)
    await eventually(lambda: slow_system.edge.connection_count == 1, "the stalled socket is gone")
    assert closes.get() == before + 1
    assert slow_system.open_count == 1
    stalled.connection.transport.abort()


async def test_codes_of_clients_are_counted_together(make_system: MakeSystem) -> None:
    """Closes are counted by code, and those that a client has thought of as one."""
    system = await make_system()
    sockets = [await system.connect() for _ in range(3)]
    for socket, code in zip(sockets, (1001, 3000, 4999), strict=True):
        await socket.connection.close(code)
    await eventually(lambda: system.edge.connection_count == 0, "all are gone")
    codes = {labels for (labels,) in metrics.CLOSES._metrics}
    assert {"1001", "other"} <= codes
    assert not {"3000", "4999"} & codes


async def test_shutdown_tells_clients(make_system: MakeSystem) -> None:
    """When the edge ends, clients get 1001 and new ones 503."""
    system = await make_system()
    sockets = [await system.connect() for _ in range(3)]
    drain = asyncio.create_task(system.edge.drain(5.0))
    for socket in sockets:
        assert (await socket.closed()).code == 1001
    with pytest.raises(InvalidStatus) as refusal:
        await system.connect()
    assert refusal.value.response.status_code == 503
    await drain
    assert system.edge.connection_count == 0


async def test_full_edge_refuses(make_system: MakeSystem) -> None:
    """Beyond the configured number of connections clients get 503, and a place that is left is given again."""
    system = await make_system(server_max_connections=2)
    first, _ = await system.connect(), await system.connect()
    with pytest.raises(InvalidStatus) as refusal:
        await system.connect()
    assert refusal.value.response.status_code == 503
    await first.close()
    await eventually(lambda: system.edge.connection_count == 1, "a place is free")
    await system.connect()


async def test_dead_peer_is_dropped(make_system: MakeSystem) -> None:
    """A peer that answers no ping is dropped."""
    system = await make_system(server_ping_interval_sec=0.2, server_ping_timeout_sec=0.2)
    dead, alive = await system.connect(), await system.connect()
    dead.connection.transport.pause_reading()
    await eventually(lambda: system.edge.connection_count == 1, "the dead peer is gone")
    write(system, numbered(1))
    assert await numbers(alive, 1) == [0]


async def test_inbound_frames_are_ignored_and_bounded(make_system: MakeSystem) -> None:
    """What clients say is ignored; a message over the limit ends the socket."""
    system = await make_system(server_max_message_size=1000)
    socket = await system.connect()
    for message in ("hello", b"\x00" * 1000, "x" * 1000):
        await socket.connection.send(message)
    write(system, numbered(1))
    assert await numbers(socket, 1) == [0]
    await socket.connection.send("x" * 1001)
    assert (await socket.closed()).code in {1009, 1006}
