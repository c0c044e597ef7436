"""What the terminal shows when everything runs: the table, the token, commands to try.

Pure text, printed by `launcher`.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from deploy.local.settings import DEFAULT_EDGE_PORT
from deploy.local.table import Row, table

EXAMPLE_WHERE = "temperature=gte:25;"
EXAMPLE_FIELDS = "sensor/status,temperature"
_TOKEN_PLACEHOLDER = "YOUR_TOKEN"  # noqa: S105 - to be replaced by the reader


@dataclass(frozen=True)
class Announcement:
    """Everything that is told.

    Attributes:
        run_folder: where the logs are.
        rows: the running processes.
        elsewhere: what is used but was not started here, a line each.
        token: ready to use; empty when tokens come from elsewhere.
        topic: with demo data; empty when there is none.
        url: of the first edge.
        port: of the first edge.
    """

    run_folder: Path
    rows: Sequence[Row]
    elsewhere: Sequence[str]
    token: str
    topic: str
    url: str
    port: int

    def __str__(self) -> str:
        """The whole text; its last line is `ready URL`."""
        paragraphs = [
            f"logs  {self.run_folder}",
            table(self.rows),
            "\n".join(self.elsewhere),
            f"token  {self.token}" if self.token else "",
            f"Live data in this terminal:\n\n  {self.tail_command()}",
            f"The same by hand (a ticket is good for one connection):\n\n{self.by_hand()}",
            f"ready {self.url}",
        ]
        return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)

    def tail_command(self) -> str:
        """A command for a shell in this folder."""
        variables = {"TOPIC": self.topic or "TENANT.TOPIC"}
        if self.topic:
            variables |= {"WHERE": EXAMPLE_WHERE, "FIELDS": EXAMPLE_FIELDS}
        if self.port != DEFAULT_EDGE_PORT:
            variables["KAFKA_WS_SERVER_PORT"] = str(self.port)
        if not self.token:
            variables["KAFKA_WS_TOKEN"] = _TOKEN_PLACEHOLDER
        return "make tail " + " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())

    def by_hand(self) -> str:
        """The two steps that a client takes."""
        query = urlencode({"where": EXAMPLE_WHERE, "fields": EXAMPLE_FIELDS}, quote_via=quote) if self.topic else ""
        socket = topic_url(self.url, self.topic or "TENANT.TOPIC", query)
        token = self.token or _TOKEN_PLACEHOLDER
        return (
            f"  curl -H 'Authorization: Bearer {token}' {self.url}/kafka-ws/v1/ticket\n"
            f"  websocat '{socket}{'&' if query else '?'}ticket=TICKET'"
        )


def topic_url(url: str, topic: str, query: str) -> str:
    """The WebSocket URL of a topic.

    Args:
        url: of an edge, `http://host:port` or `https://...`.
        topic: as Kafka names it.
        query: encoded, without `?`.
    """
    address = f"{url.replace('http', 'ws', 1)}/kafka-ws/v1/topics/{quote(topic, safe='')}"
    return f"{address}?{query}" if query else address
