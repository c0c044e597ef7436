"""A headless Chromium, driven over the DevTools protocol, without any library between.

Started once for a run by the fixtures of `tests/conftest.py`; each test opens pages of its own, which share nothing.
The protocol: https://chromedevtools.github.io/devtools-protocol. A page's coroutines belong to one event loop.
"""

import asyncio
import itertools
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.processes import Process

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_START_TIMEOUT_SEC = 90.0
_WAIT_SEC = 60.0
"""Bound of every wait. Far above what anything takes; only a failure meets it."""

_SWITCHES = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--log-level=3",
    # Containers have a small /dev/shm, and no graphics.
    "--disable-dev-shm-usage",
    "--disable-gpu",
    # Nothing is asked of the world outside.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    # The web server of the tests has made its certificate itself.
    "--ignore-certificate-errors",
)


class PageError(AssertionError):
    """A page's JavaScript has thrown."""


def missing_requirement() -> str | None:
    """What this machine lacks, as one sentence that says what to install; None when nothing."""
    if _program() is None:
        return "these tests need Chromium: install it, e.g. apt-get install chromium"
    return None


def _program() -> str | None:
    return next(filter(None, map(shutil.which, _PROGRAMS)), None)


class Chromium:
    """The browser.

    :param directory: an empty folder of its own.
    """

    def __init__(self, directory: Path) -> None:
        self._profile = directory / "profile"
        self._port_file = self._profile / "DevToolsActivePort"
        program = _program()
        assert program is not None, missing_requirement()
        command = [program, *_SWITCHES, f"--user-data-dir={self._profile}"]
        if os.geteuid() == 0:
            # Chromium's sandbox wants a user that is not root.
            command.append("--no-sandbox")
        self._process = Process("chromium", [*command, "about:blank"], log_path=directory / "chromium.log")

    def start(self) -> None:
        """Start it and wait until it can be driven."""
        self._process.start()
        self._process.wait_ready(lambda: len(self._address()) == 2, _START_TIMEOUT_SEC)

    def stop(self) -> None:
        """End it."""
        self._process.stop()

    def _address(self) -> list[str]:
        """Port and path of its DevTools; empty until it has told them."""
        with suppress(FileNotFoundError):
            return self._port_file.read_text().split()
        return []

    @asynccontextmanager
    async def open(self, url: str) -> AsyncIterator["Page"]:
        """A page that has been loaded, in a profile of its own."""
        port, path = self._address()
        # Without limits and pings: a browser that is busy answers late.
        async with connect(
            f"ws://127.0.0.1:{port}{path}", max_size=None, ping_interval=None, open_timeout=_WAIT_SEC, proxy=None
        ) as connection:
            tools = _DevTools(connection)
            reading = asyncio.create_task(tools.read())
            try:
                profile = (await tools.call("Target.createBrowserContext"))["browserContextId"]
                target = {"url": "about:blank", "browserContextId": profile}
                target_id = (await tools.call("Target.createTarget", target))["targetId"]
                attach = {"targetId": target_id, "flatten": True}
                page = Page(tools, (await tools.call("Target.attachToTarget", attach))["sessionId"])
                try:
                    await page.load(url)
                    yield page
                finally:
                    await tools.call("Target.disposeBrowserContext", {"browserContextId": profile})
            finally:
                reading.cancel()


class _DevTools:
    """Calls and events of one connection to the browser."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.events: list[dict[str, Any]] = []
        """Everything that was told without being asked, in order."""

    async def read(self) -> None:
        """Take what comes, until the connection ends."""
        with suppress(ConnectionClosed):
            async for text in self._connection:
                message = json.loads(text)
                if "id" in message:
                    self._answers.pop(message["id"]).set_result(message)
                else:
                    self.events.append(message)
        for answer in self._answers.values():
            answer.set_exception(ConnectionError("Chromium has ended"))

    async def call(self, method: str, parameters: dict[str, Any] | None = None, session: str | None = None) -> Any:
        """The result of a method of the protocol."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters or {}}
        if session is not None:
            message["sessionId"] = session
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._connection.send(json.dumps(message))
        result = await asyncio.wait_for(answer, _WAIT_SEC)
        assert "error" not in result, f"{method}: {result['error']}"
        return result["result"]


class Page:
    """One page; made by :meth:`Chromium.open`."""

    def __init__(self, tools: _DevTools, session: str) -> None:
        self._tools = tools
        self._session = session

    async def load(self, url: str) -> None:
        """Go to an address, and wait until it is there."""
        await self._call("Runtime.enable")
        await self._call("Page.enable")
        navigated = await self._call("Page.navigate", {"url": url})
        assert "errorText" not in navigated, f"{url}: {navigated['errorText']}"
        await self.until("document.readyState === 'complete'")

    async def run(self, code: str) -> Any:
        """What some code gives in the end, as JSON would.

        It is run as in a browser's console: it may `await`, and what it declares is there for later calls.

        :raises PageError: it throws.
        """
        asked = {"expression": code, "awaitPromise": True, "returnByValue": True, "replMode": True}
        answer = await self._call("Runtime.evaluate", asked)
        if "exceptionDetails" in answer:
            raise PageError(_shown(answer["exceptionDetails"]))
        return answer["result"].get("value")

    async def until(self, condition: str, wait_sec: float = _WAIT_SEC) -> None:
        """Wait until an expression is true.

        :raises TimeoutError: with what the page has logged.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_sec
        while not await self.run(condition):
            if loop.time() > deadline:
                raise TimeoutError(f"{condition}: not within {wait_sec:g} s; the page has logged {await self.logged()}")
            await asyncio.sleep(0.1)

    async def logged(self) -> list[str]:
        """What the page has written to its console, and errors that nobody has caught."""
        lines = []
        for event in self._tools.events:
            if event.get("sessionId") != self._session:
                continue
            if event["method"] == "Runtime.consoleAPICalled":
                lines.append(" ".join(str(_plain(argument)) for argument in event["params"]["args"]))
            elif event["method"] == "Runtime.exceptionThrown":
                lines.append(_shown(event["params"]["exceptionDetails"]))
        return lines

    async def _call(self, method: str, parameters: dict[str, Any] | None = None) -> Any:
        return await self._tools.call(method, parameters, self._session)


def _plain(argument: dict[str, Any]) -> Any:
    """A console's argument; of an object only what kind it is."""
    return argument.get("value", argument.get("description"))


def _shown(details: dict[str, Any]) -> str:
    exception = details.get("exception", {})
    return str(exception.get("description", exception.get("value", details["text"])))
