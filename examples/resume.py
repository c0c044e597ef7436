"""Follows a topic over WebSockets and misses nothing.

    python examples/resume.py http://127.0.0.1:8080 TOKEN admin.sensors where='temperature=gte:25;' from=earliest

Whatever ends a connection, the next one goes on behind the last record. Prints one record a line, with its `position`:
`from=<position>` goes on behind it, another day too.
"""

import json
import random
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect

AGAIN = {1001, 1006, 4408, 4429, 4503}
"""Close codes after which connecting again makes sense; 1006 is a connection that was lost."""

LONGEST_PAUSE_SEC = 30.0
TIMEOUT_SEC = 30.0


def follow(url: str, token: str, topic: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """All records from `query["from"]` on, each once, in order per partition, up to `query["until"]`.

    A record counts as dealt with when the next one is asked for. A program that must survive its own end as well
    stores `position` together with what it makes of the record.

    Args:
        url: of the service.
        token: JSON Web Token. A program that outlives its token has to get a new one.
        topic: as Kafka names it.
        query: `where`, `fields`, `from`, `until`, `on_gap`, as far as they are wanted. With `on_gap=continue` there
            are also messages that have a `gap` instead of a `value`.

    Raises:
        ConnectionClosed, HTTPError, InvalidStatus: trying again as before would not help.
    """
    position = query.get("from", "latest")
    failures = 0
    while True:
        try:
            with open_stream(url, token, topic, {**query, "format": "record", "from": position}) as socket:
                while True:
                    message = json.loads(socket.recv())
                    if "offset" in message or "gap" in message:
                        yield message
                    position = message["position"]
                    failures = 0
        except ConnectionClosed as closed:
            code = 1006 if closed.rcvd is None else closed.rcvd.code
            if code == 1000:
                return
            if code not in AGAIN:
                raise
            problem: Exception = closed
        except HTTPError as error:  # there is no ticket
            if error.code < 500:
                raise
            problem = error
        except InvalidStatus as error:  # there is no WebSocket; 401: the ticket has become too old
            if error.response.status_code < 500 and error.response.status_code != 401:
                raise
            problem = error
        except (OSError, HTTPException, InvalidHandshake) as error:  # the network
            problem = error
        # Of random length: when an edge stops, all its clients look for another.
        pause = random.uniform(0, min(LONGEST_PAUSE_SEC, 2**failures))  # noqa: S311
        print(f"{problem}: again in {pause:.1f} s", file=sys.stderr, flush=True)
        time.sleep(pause)
        failures += 1


def open_stream(url: str, token: str, topic: str, query: Mapping[str, str]) -> ClientConnection:
    """Token, ticket, WebSocket."""
    request = urllib.request.Request(f"{url}/kafka-ws/v1/ticket", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_SEC) as response:
        ticket = json.load(response)["ticket"]  # good for one connection, within a minute
    path = f"/kafka-ws/v1/topics/{quote(topic, safe='')}?{urlencode({**query, 'ticket': ticket})}"
    # Records may be large. Pings, which notice lost connections, are sent by default.
    return connect(url.replace("http", "ws", 1) + path, max_size=None, open_timeout=TIMEOUT_SEC, proxy=None)


if __name__ == "__main__":
    _, its_url, its_token, its_topic, *parameters = sys.argv
    try:
        for record in follow(its_url, its_token, its_topic, dict(each.split("=", 1) for each in parameters)):
            print(json.dumps(record, ensure_ascii=False), flush=True)
    except ConnectionClosed as closed:
        sys.exit(f"closed by the server: {closed.rcvd}")
    except (HTTPError, InvalidStatus) as refused:
        sys.exit(f"refused by the server: {refused}")
    except KeyboardInterrupt:
        sys.exit(130)
