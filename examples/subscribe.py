"""A backend that reads filtered Kafka records straight from the filter service, over gRPC.

    python examples/subscribe.py 127.0.0.1:50051 admin.sensors --where 'temperature=gte:30;' --fields sensor/id

Prints one JSON value a line. Whatever happens to the filter service, it goes on behind the last record that it has
printed, at the same replica or at the next one given: nothing is lost, and nothing comes twice. A program that must
survive its own end as well stores the position together with what it makes of the records.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Iterator, Sequence

import grpc
from kafka_ws.filter.v1 import filter_pb2 as pb
from kafka_ws.filter.v1 import filter_pb2_grpc

PAUSE_SEC = 1.0
"""Between attempts, so that a service that is away is not hammered."""

CHANNEL_OPTIONS = (
    # A batch of large records is larger than gRPC's default of 4 MiB; this is what the service may send.
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    # Notices within 30 s that the other machine has vanished. The service cuts off who pings more than every 10 s.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)


def follow(addresses: Sequence[str], topic: str, query: pb.Query) -> Iterator[str]:
    """The matching records of a topic, as JSON texts, from now on and for ever.

    Args:
        addresses: `host:port` of filter replicas; any of them can serve everything.
        topic: as Kafka names it.
        query: which records, and how much of each.

    Raises:
        grpc.RpcError: the request is wrong, or its records are no longer in Kafka; trying again would not help.
    """
    start = pb.Start(latest=pb.Start.Latest())
    position: dict[int, int] = {}
    for address in itertools.cycle(addresses):
        request = pb.SubscribeRequest(subscription=pb.Subscription(topic=topic, start=start, query=query))
        try:
            # With TLS: grpc.secure_channel(address, grpc.ssl_channel_credentials(...), options).
            with grpc.insecure_channel(address, CHANNEL_OPTIONS) as channel:
                for response in filter_pb2_grpc.FilterServiceStub(channel).Subscribe(request):
                    match response.WhichOneof("response"):
                        case "opened":
                            position = dict(sorted(response.opened.start.next_offsets.items()))
                            print(f"{address} serves {topic} from {position}", file=sys.stderr, flush=True)
                        case "records":
                            yield from (value.decode() for value in response.records.values)
                            position[response.records.partition] = response.records.next_offset
                        case "progress":
                            position[response.progress.partition] = response.progress.next_offset
                        case "draining" if len(addresses) > 1:
                            break  # this replica is about to stop
                    start = pb.Start(position=pb.Position(next_offsets=position))
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            print(f"{address}: {error.details()}", file=sys.stderr, flush=True)
            time.sleep(PAUSE_SEC)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Follow a Kafka topic through the filter service.")
    parser.add_argument("addresses", help="host:port of a filter replica, or of several, separated by commas")
    parser.add_argument("topic")
    parser.add_argument("--where", default="", help="which records, e.g. 'temperature=gte:30;'")
    parser.add_argument("--fields", default="", help="how much of each, e.g. 'sensor/id,temperature'")
    parser.add_argument("--count", type=int, default=None, help="stop after this many records")
    given = parser.parse_args()
    records = follow(given.addresses.split(","), given.topic, pb.Query(where=given.where, fields=given.fields))
    try:
        for record in itertools.islice(records, given.count):
            print(record, flush=True)
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
