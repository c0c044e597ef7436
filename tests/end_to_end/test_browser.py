"""What a page in a real Chromium gets, behind a web server as README asks for, while everything on the way breaks."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser.chromium import Chromium, Page
from tests.browser.web_server import WebServer
from tests.conftest import CreateTopic, MakeStack
from tests.docs.page import ROOT, blocks, section, text_of
from tests.kafka.feed import Feed
from tests.kafka.records import RecordWriter
from tests.processes import wait_until
from tests.stack.stack import TICKET, Stack

PAGE = text_of()
(TOUR,) = blocks("js", section("By hand: token, ticket, WebSocket", PAGE))
FOLLOW, LISTEN = blocks("js", section("Resuming", PAGE))
PARTITIONS = 3
WAIT_SEC = 60.0

pytestmark = pytest.mark.timeout(300)


def code_of(snippet: str, topic: str) -> str:
    """README's code, for a topic of the test and the records of a :class:`Feed`."""
    for shown, ours in (
        ("admin.sensors", topic),
        ("temperature=gte:25;", "n=gte:0;"),
        ("sensor/id,temperature", "partition,n"),
    ):
        assert shown in snippet
        snippet = snippet.replace(shown, ours)
    return snippet


@asynccontextmanager
async def opened(browser: Chromium, stack: Stack, directory: Path) -> AsyncIterator[tuple[Page, WebServer]]:
    """A page that has a token, keeps what is logged, and may import the examples."""
    files = {"/resume.mjs": ROOT / "examples/resume.mjs"}
    async with WebServer(stack.services["edge-1"].port, directory, files) as web, browser.open(web.url) as page:
        await page.run(f"globalThis.token = {json.dumps(stack.tokens.token())}")
        await page.run("globalThis.shown = []; console.log = (...values) => shown.push(values)")
        yield page, web


async def shown(page: Page, first: str) -> list[list[Any]]:
    """What the page has logged that begins with a word."""
    return [values for values in await page.run("shown") if values[0] == first]


async def records_of(page: Page) -> list[tuple[int, int]]:
    """Partition and number of the records that the page has logged, in order."""
    found = await page.run(
        "shown.filter(([value]) => typeof value === 'object').map(([{partition, n}]) => [partition, n])"
    )
    return [(partition, n) for partition, n in found]


async def until_shown(page: Page, count: int) -> None:
    """Wait until the page has logged so many records."""
    await page.until(f"shown.filter(([value]) => typeof value === 'object').length >= {count}")


def topic_requests(web: WebServer) -> list[tuple[str, str]]:
    """Ticket and last event id of each request for a topic."""
    found = []
    for passed in web.passed:
        target = urlsplit(passed.target)
        if "/topics/" in target.path:
            found.append((parse_qs(target.query)["ticket"][0], passed.last_event_id))
    return found


async def cut(web: WebServer) -> None:
    """The browser's network is away for a moment."""
    await web.network.cut()
    await asyncio.sleep(0.5)
    await web.network.heal()


async def restart_the_edge(stack: Stack, end: Callable[[str], object]) -> None:
    """Once it has ended in this way."""
    await asyncio.to_thread(end, "edge-1")
    await asyncio.to_thread(stack.start_one, "edge-1")


async def suffer(page: Page, web: WebServer, feed: Feed, faults: list[Callable[[], Awaitable[object]]]) -> None:
    """Records come all the time, the page is cut off by each fault and comes again, and in the end it has all."""
    with feed.running():
        for fault in faults:
            await until_shown(page, feed.total)
            requests = len(topic_requests(web))
            await fault()
            await asyncio.to_thread(wait_for_request, web, requests)
    await until_shown(page, feed.total)
    feed.check(await records_of(page))


def wait_for_request(web: WebServer, count: int) -> None:
    """Wait for one more request for a topic than so many."""
    wait_until(lambda: len(topic_requests(web)) > count, "another request for the topic", WAIT_SEC)


async def test_event_source_misses_nothing(
    browser: Chromium, make_stack: MakeStack, create_topic: CreateTopic, records: RecordWriter, tmp_path: Path
) -> None:
    """README's `EventSource` goes on by itself, with the used ticket: each record once, in order per partition.

    The network is cut, the edge is killed, and drained; then the ticket service is away while the browser comes again.
    """
    stack = await asyncio.to_thread(make_stack)
    topic = create_topic(partitions=PARTITIONS)
    feed = Feed(records, topic, PARTITIONS)

    async def lose_the_ticket_service(page: Page, web: WebServer) -> None:
        await asyncio.to_thread(stack.kill, TICKET)
        await asyncio.to_thread(stack.wait_until_ready, "edge-1", ready=False)
        await cut(web)
        await page.until("shown.some(([word, ended]) => word === 'closed' && ended.code === 4503)")
        await asyncio.to_thread(stack.start_one, TICKET)

    await asyncio.to_thread(feed.write)
    async with opened(browser, stack, tmp_path) as (page, web):
        await page.run(code_of(LISTEN, topic).replace("latest", "earliest"))
        faults: list[Callable[[], Awaitable[object]]] = [
            lambda: cut(web),
            lambda: restart_the_edge(stack, stack.kill),
            lambda: restart_the_edge(stack, stack.stop_one),
            lambda: cut(web),
            lambda: lose_the_ticket_service(page, web),
        ]
        await suffer(page, web, feed, faults)
        (first, no_id), *later = topic_requests(web)
        assert no_id == ""
        assert {ticket for ticket, _ in later} == {first}
        assert all(last_id for _, last_id in later)
        assert ["closed", {"code": 1001, "reason": "Server is shutting down"}] in await shown(page, "closed")
        assert await shown(page, "given up") == []


async def test_event_source_gives_up(
    browser: Chromium, make_stack: MakeStack, create_topic: CreateTopic, records: RecordWriter, tmp_path: Path
) -> None:
    """A proxy that answers 502 ends an `EventSource`; README's code goes on from its position, with a new ticket."""
    stack = await asyncio.to_thread(make_stack)
    topic = create_topic(partitions=PARTITIONS)
    feed = Feed(records, topic, PARTITIONS)
    await asyncio.to_thread(feed.write)
    async with opened(browser, stack, tmp_path) as (page, web):
        web.answers_for_the_edge = True
        await page.run(code_of(LISTEN, topic).replace("latest", "earliest"))
        await until_shown(page, feed.total)
        await asyncio.to_thread(stack.kill, "edge-1")
        await asyncio.to_thread(feed.write)
        await page.until("shown.some(([word]) => word === 'given up')")
        await asyncio.to_thread(stack.start_one, "edge-1")
        await page.run("await listen(shown.find(([word]) => word === 'given up')[1])")
        await until_shown(page, feed.total)
        feed.check(await records_of(page))
        assert len({ticket for ticket, _ in topic_requests(web)}) == 2


async def test_a_query_over_history_ends(
    browser: Chromium, stack: Stack, create_topic: CreateTopic, records: RecordWriter, tmp_path: Path
) -> None:
    """At `until` the browser is told so, comes again once, and then for good no more."""
    topic = create_topic(partitions=PARTITIONS)
    feed = Feed(records, topic, PARTITIONS)
    await asyncio.to_thread(feed.write)
    async with opened(browser, stack, tmp_path) as (page, web):
        code = code_of(LISTEN, topic).replace('"latest"', '"earliest"').replace("ticket, ", 'ticket, until: "latest", ')
        await page.run(code)
        await page.until("shown.some(([word]) => word === 'given up')")
        feed.check(await records_of(page))
        assert await shown(page, "closed") == [["closed", {"code": 1000, "reason": ""}]]
        assert len(topic_requests(web)) == 2


async def test_the_websocket_of_the_tour(
    browser: Chromium, stack: Stack, create_topic: CreateTopic, records: RecordWriter, tmp_path: Path
) -> None:
    """README's first code for browsers shows the records that pass its filter, cut down, and how it was closed."""
    topic = create_topic()
    async with opened(browser, stack, tmp_path) as (page, _):
        await page.run(code_of(TOUR, topic))
        await page.run("socket.readyState === 1 || (await new Promise((resolve) => { socket.onopen = resolve; }), 0)")
        await asyncio.to_thread(records.write_all, topic, [b'{"n":-1,"partition":0}', b'{"n":1,"partition":0,"x":2}'])
        await page.until("shown.length")
        assert await page.run("shown") == [[{"n": 1, "partition": 0}]]
        await page.run("socket.close(1000)")
        await page.until("shown.length === 2")
        assert (await shown(page, "closed"))[0][1] == 1000
    async with opened(browser, stack, tmp_path) as (page, _):
        await page.run(code_of(TOUR, topic).replace("gte", "above"))
        await page.until("shown.length")
        assert await page.run("shown") == [["closed", 4001, "invalid operator 'above'"]]


async def test_a_websocket_resumes_at_a_position(
    browser: Chromium, stack: Stack, create_topic: CreateTopic, records: RecordWriter, tmp_path: Path
) -> None:
    """`from=` the position of a record in `format=record` goes on behind it, over all partitions."""
    topic = create_topic(partitions=PARTITIONS)
    feed = Feed(records, topic, PARTITIONS)
    await asyncio.to_thread(feed.write)
    code = (
        code_of(TOUR, topic)
        .replace("ticket, where", 'ticket, from, format: "record", where')
        .replace("const { ticket }", "async function read(from) {\nconst { ticket }")
        .replace("console.log(JSON.parse(data))", "seen.push(JSON.parse(data))")
    )
    async with opened(browser, stack, tmp_path) as (page, _):
        await page.run(f"globalThis.seen = []; {code}; globalThis.socket = socket; }}")
        await page.run("await read('earliest')")
        await page.until(f"seen.length >= {feed.total // 2}")
        # What was received behind that record is forgotten, and has to come again.
        await page.run(f"socket.onmessage = null; socket.close(); seen.splice({feed.total // 2})")
        await page.run("await read(seen.at(-1).position)")
        await asyncio.to_thread(feed.write)
        await page.until(f"seen.filter((each) => 'offset' in each).length >= {feed.total}")
        found = await page.run("seen.filter((each) => 'offset' in each).map(({value}) => [value.partition, value.n])")
        feed.check((partition, n) for partition, n in found)


async def test_a_websocket_client_misses_nothing(
    browser: Chromium, make_stack: MakeStack, create_topic: CreateTopic, records: RecordWriter, tmp_path: Path
) -> None:
    """README's client that resumes gets each record once, in order per partition, with a new ticket each time.

    The network is cut, then loses the connection without a word; the edge is killed, and drained.
    """
    stack = await asyncio.to_thread(make_stack)
    topic = create_topic(partitions=PARTITIONS)
    feed = Feed(records, topic, PARTITIONS)
    await asyncio.to_thread(feed.write)
    code = (
        code_of(FOLLOW, topic)
        .replace('import { follow } from "./resume.mjs"', 'const { follow } = await import("/resume.mjs")')
        .replace("const query = {", 'const query = { from: "earliest",')
        # It never ends; and is not to wait long for what has been lost without a word.
        .replace("await follow(", "const following = follow(")
        .replace("console.log(value))", "console.log(value), 5000)")
    )
    async with opened(browser, stack, tmp_path) as (page, web):
        await page.run(code)
        faults: list[Callable[[], Awaitable[object]]] = [
            lambda: cut(web),
            lambda: asyncio.to_thread(web.network.lose),
            lambda: restart_the_edge(stack, stack.kill),
            lambda: restart_the_edge(stack, stack.stop_one),
        ]
        await suffer(page, web, feed, faults)
        tickets = [ticket for ticket, _ in topic_requests(web)]
        assert len(set(tickets)) == len(tickets)
