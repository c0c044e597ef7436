"""Prints the live records of a topic, one a line: a WebSocket client for people without one.

`main` is what `make tail` executes (through `tail.py`). It does what any client does: trades a token for a ticket,
opens the topic with it, and reads text frames until somebody has had enough.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from deploy.local import run_file
from deploy.local.announcement import topic_url
from deploy.local.settings import DEFAULT_EDGE_PORT, HIGHEST_PORT, LOOPBACK

TIMEOUT_SEC = 15.0
"""For the ticket and for the handshake."""
NORMAL_CLOSURE = 1000
"""RFC 6455, section 7.4.1."""
MEANINGS = {
    1001: "the server is shutting down",
    1006: "the connection was lost",
    4000: "the filter or the fields are not well-formed",
    4001: "the filter has an unknown operator",
    4002: "the filter has an unknown escape sequence",
    4003: "the filter has an operator with the wrong number of values",
    4004: "the filter has a value of the wrong type",
    4403: "the token's tenant may not read this topic",
    4408: "the connection has reached its maximum life time",
    4410: "records have been deleted before they could be sent",
    4429: "the records were not taken fast enough",
    4503: "Kafka cannot be reached at the moment",
    4999: "the server has an internal fault",
}
"""What close codes mean, in words (behaviour, section 8)."""


class TailError(Exception):
    """The records cannot be shown, or not any more; the text is one sentence."""


@dataclass(frozen=True)
class TailOptions:
    """What to show, and from where.

    Attributes:
        url: of an edge, `http://host:port`.
        token: JSON Web Token.
        topic: as Kafka names it.
        where: filter; empty: every record.
        fields: projection; empty: whole records.
        count: records to show; 0: all.
    """

    url: str
    token: str
    topic: str
    where: str
    fields: str
    count: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints records until `--count` is reached, Ctrl-C, or the end of whoever reads them.

    Args:
        arguments: of the command line; None: those of the process.

    Returns:
        The exit code: 0 unless the server refused or ended the stream.
    """
    try:
        options = read_options(arguments, os.environ)
        asyncio.run(_run(options))
    except BrokenPipeError:
        # `| head` has had enough. Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except TailError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass  # before the signal was ours
    return 0


def read_options(
    arguments: Sequence[str] | None, environ: Mapping[str, str], runs: Path = run_file.FOLDER
) -> TailOptions:
    """What the command line and the environment ask for; the former wins, the local run fills the gaps.

    Args:
        arguments: of the command line; None: those of the process.
        environ: environment variables.
        runs: where local runs are found.

    Raises:
        TailError: something is missing.
    """
    parser = argparse.ArgumentParser(prog="tail", description="Prints the live records of a topic, one a line.")
    parser.add_argument("--topic", default=environ.get("TOPIC", ""), help="topic name [$TOPIC, the demo data]")
    parser.add_argument("--where", default=environ.get("WHERE", ""), help="filter, e.g. 'temperature=gte:30;' [$WHERE]")
    parser.add_argument("--fields", default=environ.get("FIELDS", ""), help="projection, e.g. 'a,b/c' [$FIELDS]")
    parser.add_argument("--count", default=environ.get("COUNT", ""), help="end after so many [$COUNT]")
    parser.add_argument("--url", default=environ.get("URL", ""), help="an edge [$URL, the local run's first one]")
    parser.add_argument(
        "--token", default=environ.get("KAFKA_WS_TOKEN", ""), help="JSON Web Token [$KAFKA_WS_TOKEN, the local run's]"
    )
    given = parser.parse_args(arguments)
    port = _whole_number("KAFKA_WS_SERVER_PORT", environ.get("KAFKA_WS_SERVER_PORT", ""), HIGHEST_PORT)
    count = _whole_number("COUNT (--count)", given.count, sys.maxsize)
    local = run_file.find(port or None, runs)
    url, token, topic = given.url, given.token, given.topic
    if local is not None and not url:
        url, token, topic = local.url, token or local.token, topic or local.topic
    if not url and not token:
        where = f" at port {port}" if port else ""
        raise TailError(
            f"Nothing to connect to: there is no local run of this folder{where}. Start one with 'make run', or give "
            "KAFKA_WS_TOKEN=... and URL=http://host:port of another system."
        )
    if not token:
        raise TailError("A token is needed: give KAFKA_WS_TOKEN=... (--token).")
    if not topic:
        raise TailError("A topic is needed: give TOPIC=... (--topic).")
    url = url or f"http://{LOOPBACK}:{port or DEFAULT_EDGE_PORT}"
    return TailOptions(url.rstrip("/"), token, topic, given.where, given.fields, count)


def _whole_number(name: str, text: str, most: int) -> int:
    """The number; 0 when nothing is given."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()) or int(text) > most:
        raise TailError(f"{name}: {text!r} is not a whole number" + (f" up to {most}." if most < sys.maxsize else "."))
    return int(text)


async def _run(options: TailOptions) -> None:
    printing = asyncio.create_task(_print_records(options))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, printing.cancel)
    with suppress(asyncio.CancelledError):
        await printing


async def _print_records(options: TailOptions) -> None:
    ticket = await asyncio.to_thread(request_ticket, options.url, options.token)
    target = socket_url(options, ticket)
    try:
        # No proxy for the machine itself, whatever the environment says.
        connection = await connect(
            target, open_timeout=TIMEOUT_SEC, max_size=None, proxy=None if _is_local(options.url) else True
        )
    except InvalidStatus as error:
        response = error.response
        raise TailError(
            f"The server refused the connection: {_message(response.body or b'')} (HTTP {response.status_code})."
        ) from None
    except (OSError, InvalidHandshake) as error:
        raise TailError(f"Cannot connect to {options.url}: {error}.") from None
    shown = 0
    async with connection:
        try:
            async for record in connection:
                print(record if isinstance(record, str) else record.decode("utf-8", "replace"), flush=True)
                shown += 1
                if shown == options.count:
                    return
        except ConnectionClosed:
            pass
        raise TailError(close_sentence(connection.close_code, connection.close_reason))


def request_ticket(url: str, token: str) -> str:
    """Trades a token for a ticket.

    Args:
        url: of an edge.
        token: JSON Web Token.

    Raises:
        TailError: there is no edge, or it refuses.
    """
    address = f"{url}/kafka-ws/v1/ticket"
    if urlsplit(url).scheme not in ("http", "https"):
        raise TailError(f"{url!r} is not a URL of the form http://host:port.")
    handlers = [urllib.request.ProxyHandler({})] if _is_local(url) else []
    opener = urllib.request.build_opener(*handlers)
    try:
        request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - see above
        with opener.open(request, timeout=TIMEOUT_SEC) as response:
            return str(json.load(response)["ticket"])
    except urllib.error.HTTPError as error:
        raise TailError(f"The server refused the token: {_message(error.read())} (HTTP {error.code}).") from None
    except OSError as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise TailError(f"Cannot connect to {url}: {reason}.") from None
    except (ValueError, KeyError, TypeError):
        raise TailError(f"{address} did not answer with a ticket: it is not a Kafka WS server.") from None


def socket_url(options: TailOptions, ticket: str) -> str:
    """Where to open the WebSocket, everything quoted as it has to be."""
    query = {"ticket": ticket, "where": options.where, "fields": options.fields}
    given = {name: value for name, value in query.items() if value}
    return topic_url(options.url, options.topic, urlencode(given, quote_via=quote, safe=""))


def close_sentence(code: int | None, reason: str | None) -> str:
    """What to tell when the server has closed.

    Args:
        code: close code (RFC 6455); None when the connection broke without one.
        reason: the server's text.
    """
    code = 1006 if code is None else code
    said = f": {reason}" if reason else ""
    if code == NORMAL_CLOSURE:
        return f"The server ended the stream (close code {code}{said})."
    meaning = MEANINGS.get(code, "the server closed the connection")
    return f"{meaning[0].upper()}{meaning[1:]} (close code {code}{said})."


def _message(body: bytes | bytearray) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace").strip() or "no reason given"


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "localhost" or host == "::1" or host.startswith("127.")
