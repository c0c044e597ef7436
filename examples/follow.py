"""A dashboard's side of things: token, ticket, WebSocket.

python examples/follow.py http://127.0.0.1:8080 TOKEN [COUNT]
"""

import json
import sys
import urllib.request
from itertools import islice
from urllib.parse import urlencode

from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect


def follow(url: str, token: str, count: int | None) -> None:
    """Prints the sensors in trouble, from now on."""
    request = urllib.request.Request(f"{url}/kafka-ws/v1/ticket", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request) as response:
        ticket = json.load(response)["ticket"]  # good for one connection, within a minute
    query = urlencode({"ticket": ticket, "where": "sensor.status=nin:ok;", "fields": "sensor,temperature"})
    address = f"{url.replace('http', 'ws', 1)}/kafka-ws/v1/topics/admin.sensors?{query}"
    with connect(address, proxy=None) as socket:
        for text in islice(socket, count):
            record = json.loads(text)
            print(f"{record['sensor']['id']} {record['sensor']['status']}: {record['temperature']} °C", flush=True)


if __name__ == "__main__":
    try:
        follow(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else None)
    except ConnectionClosedError as closed:
        sys.exit(f"closed by the server: {closed.rcvd}")
