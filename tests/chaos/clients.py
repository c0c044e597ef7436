"""A process full of clients that check every record: `python -m tests.chaos.clients <settings file>`.

Started by :mod:`tests.chaos.system`, stopped with SIGSTOP and SIGTERM. Each client keeps a stream open, at whatever
edge gives it one, and goes on after every end of it as its format allows. What it gets is checked on the spot; a
report goes to the process that keeps the books a few times a second.
"""

import asyncio
import json
import random
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from runtime import event_loop
from tests.chaos.connection import RefusedError, Request, Stream, fetch, open_stream
from tests.chaos.counters import Counters
from tests.chaos.expectation import Expectation
from tests.chaos.population import POPULATIONS, Format, Wish
from tests.chaos.records import PARTITIONS
from tests.chaos.reporting import BUCKET_SEC, REPORT_INTERVAL_SEC, ClientState, Note, Report
from tests.edge.raw import HANDSHAKE
from tests.stack.client import PREFIX
from tests.stack.tokens import TokenIssuer

_RETRY_SEC = (0.05, 0.25)
"""Least and most time between two attempts: clients that come all at once are no fault to be tried here."""

_AWAY_SEC = (4.0, 10.0)
"""How long a client stays at an edge that is not its own, before it leaves and tries its own again."""


@dataclass(frozen=True)
class Settings:
    """What a process is told.

    :param process: its number, from 0.
    :param population: name of whom it is a part of.
    :param report_port: on 127.0.0.1, where reports go.
    :param edges: `http://host:port` of each.
    :param topic: its name.
    :param counters: file of `counters.Counters`.
    """

    process: int
    population: str
    report_port: int
    edges: list[str]
    topic: str
    counters: str

    def write(self, path: Path) -> None:
        """For :func:`main`."""
        path.write_text(json.dumps(asdict(self)))


class Delays:
    """The longest time from writing to arrival, for each bucket of time."""

    def __init__(self) -> None:
        self._worst: dict[int, float] = {}

    def note(self, now: float, delay: float) -> None:
        """A record has come."""
        bucket = int(now / BUCKET_SEC)
        if delay > self._worst.get(bucket, 0.0):
            self._worst[bucket] = delay

    def take(self) -> list[tuple[int, float]]:
        """What there is, and forgets it."""
        worst, self._worst = self._worst, {}
        return list(worst.items())


class Client:
    """One client.

    :param wish: what it asks for.
    :param settings: of the process.
    :param counters: what has been written.
    :param delays: of the process.
    :param notes: of the process.
    """

    def __init__(self, wish: Wish, settings: Settings, counters: Counters, delays: Delays, notes: list[Note]) -> None:
        self.wish = wish
        self._settings = settings
        self._counters = counters
        self._delays = delays
        self._notes = notes
        self._tokens = TokenIssuer()
        self._expectation = Expectation(wish.selection, PARTITIONS)
        self._position = ""
        self._edge = wish.home
        self._is_open = False
        self._first_time = True
        self._now = 0.0
        self._worst = 0.0

    def state(self) -> ClientState:
        """For a report."""
        edge = self._edge if self._is_open else None
        return ClientState(self.wish.number, edge, list(self._expectation.next), **asdict(self._expectation.tally))

    async def run(self) -> None:
        """Keeps a stream open until cancelled."""
        while True:
            try:
                stream = await self._open()
            except RefusedError as refused:
                self._note("refused", refused.status, str(refused))
            except (OSError, TimeoutError, EOFError) as error:
                self._note("refused", 0, repr(error))
            else:
                self._is_open = True
                self._note("opened")
                await self._stay(stream)
                self._is_open = False
            self._edge = (self._edge + 1) % len(self._settings.edges)
            await asyncio.sleep(random.uniform(*_RETRY_SEC))

    async def _stay(self, stream: Stream) -> None:
        """Returns at the stream's end, or when it is time to go home."""
        patience = None if self._edge == self.wish.home else random.uniform(*_AWAY_SEC)
        try:
            code = await asyncio.wait_for(asyncio.shield(stream.closed), patience)
        except TimeoutError:
            stream.abort()
            self._note("left")
        else:
            self._note("closed", code)

    async def _open(self) -> Stream:
        edge = self._settings.edges[self._edge]
        wish = self.wish
        parameters = {"where": wish.selection.where, "fields": wish.fields}
        headers = dict(HANDSHAKE)
        status = 101
        if wish.format is Format.RECORD:
            # Without a position there was no record yet: nothing before it is missed.
            parameters |= {"format": "record", "from": self._position or "earliest"}
        elif wish.format is Format.EVENTS:
            parameters |= {"from": "earliest"}
            headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": self._position} if self._position else {})
            status = 200
        if not (wish.format is Format.EVENTS and self._position):
            parameters["ticket"] = await self._ticket(edge)
        target = f"{PREFIX}/topics/{self._settings.topic}?{urlencode(parameters, quote_via=quote)}"
        return await open_stream(edge, Request(target, headers, status), self)

    async def _ticket(self, edge: str) -> str:
        token = self._tokens.token(self._settings.topic.partition(".")[0])
        request = Request(f"{PREFIX}/ticket", {"Authorization": f"Bearer {token}", "Connection": "close"})
        return str(json.loads(await fetch(edge, request))["ticket"])

    # -------------------------------------------------------------------------------------- what a stream calls (Taker)

    def opened(self) -> None:
        """What is written from now on must come; what was, need not, where the client begins at the end."""
        if self.wish.format is Format.VALUE and not self._first_time:
            self._expectation.begin_at_end(self._counters.read())
        self._first_time = False
        self._now = 0.0

    def message(self, data: bytes, event_id: str) -> None:
        """Checks a record, or notes a position."""
        if self._now == 0.0:
            self._now = time.monotonic()
        if self.wish.format is Format.EVENTS:
            self._position = event_id
            if not data:
                return
        value: dict[str, Any] = orjson.loads(data)
        if self.wish.format is Format.RECORD:
            record = value
            self._position = record["position"]
            if "value" not in record:
                if "gap" in record:
                    self.problem(f"told of a gap: {record}")
                return
            value = record["value"]
            if record["offset"] != value["n"] or record["partition"] != value["p"]:
                self.problem(f"an envelope that is not its record's: {record}")
        problem = self._expectation.receive(value["p"], value["n"])
        if problem is not None:
            self.problem(problem)
        delay = self._now - value["at"] / 1e6
        if delay > self._worst:
            self._worst = delay

    def received(self) -> None:
        """Notes how late the latest of a handful of records was."""
        if self._worst:
            self._delays.note(self._now, self._worst)
        self._now = self._worst = 0.0

    def problem(self, text: str) -> None:
        """Something is wrong with what has come."""
        self._note("problem", 0, text)

    def _note(self, what: str, code: int = 0, text: str = "") -> None:
        self._notes.append(Note(time.monotonic(), self.wish.number, what, self._edge, code, text))


async def _report(settings: Settings, clients: list[Client], delays: Delays, notes: list[Note]) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", settings.report_port)
    while True:
        told = notes.copy()
        notes.clear()
        writer.write(Report(settings.process, [client.state() for client in clients], delays.take(), told).encode())
        await writer.drain()
        await asyncio.sleep(REPORT_INTERVAL_SEC)


async def _run(settings: Settings) -> None:
    stop = event_loop.stop_signal()
    counters, delays = Counters(Path(settings.counters)), Delays()
    notes: list[Note] = []
    wishes = [wish for wish in POPULATIONS[settings.population]() if wish.process == settings.process]
    clients = [Client(wish, settings, counters, delays, notes) for wish in wishes]
    running = [asyncio.ensure_future(client.run()) for client in clients]
    running.append(asyncio.ensure_future(_report(settings, clients, delays, notes)))
    stopping = asyncio.ensure_future(stop.wait())
    # A client never ends by itself: when one does, the process does, with its traceback.
    done, _ = await asyncio.wait([*running, stopping], return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


def main() -> None:
    """Runs until SIGTERM."""
    event_loop.run(_run(Settings(**json.loads(Path(sys.argv[1]).read_text()))))


if __name__ == "__main__":
    main()
