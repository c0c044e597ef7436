"""A backend that reads filtered Kafka records straight from the filter service over gRPC.

    python examples/subscribe.py localhost:50051 admin.sensors --where 'temperature=gte:30;' --fields sensor/id

Prints one JSON value a line. When the filter replica goes away it resumes behind the last record that it has printed:
nothing is lost, and nothing comes twice.
"""

import argparse
import time

import grpc
from kafka_ws.filter.v1 import filter_pb2 as pb
from kafka_ws.filter.v1 import filter_pb2_grpc


def follow(address: str, topic: str, where: str, fields: str, count: int | None) -> None:
    """Prints records until `count` have come (None: for ever)."""
    start = pb.Start(latest=pb.Start.Latest())
    position: dict[int, int] = {}
    while True:
        request = pb.SubscribeRequest(
            subscription=pb.Subscription(topic=topic, start=start, query=pb.Query(where=where, fields=fields))
        )
        try:
            with grpc.insecure_channel(address) as channel:
                for response in filter_pb2_grpc.FilterServiceStub(channel).Subscribe(request):
                    if response.HasField("opened"):
                        position = dict(response.opened.start.next_offsets)
                        print(f"# reading {topic} from {position}", flush=True)
                    elif response.HasField("records"):
                        for value in response.records.values:
                            print(value.decode(), flush=True)
                            if count is not None:
                                count -= 1
                                if count == 0:
                                    return
                        position[response.records.partition] = response.records.next_offset
                    elif response.HasField("progress"):
                        position[response.progress.partition] = response.progress.next_offset
                    start = pb.Start(position=pb.Position(next_offsets=position))
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise SystemExit(f"{error.code().name}: {error.details()}") from None
            time.sleep(1)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Follow a Kafka topic through the filter service.")
    parser.add_argument("address", help="host:port of a filter service")
    parser.add_argument("topic")
    parser.add_argument("--where", default="", help="which records, e.g. 'temperature=gte:30;'")
    parser.add_argument("--fields", default="", help="how much of each, e.g. 'sensor/id,temperature'")
    parser.add_argument("--count", type=int, default=None, help="stop after this many records")
    arguments = parser.parse_args()
    try:
        follow(arguments.address, arguments.topic, arguments.where, arguments.fields, arguments.count)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
