"""`make tail`: what it asks the server for, what it shows, and what it says when there is nothing to show."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from deploy.local import run_file
from deploy.local.run_file import LocalRun as Published
from deploy.local.settings import REPOSITORY
from deploy.local.tail_client import TailError, TailOptions, close_sentence, read_options, socket_url
from tests.deploy.local_run import NOTHING_TO_INSTALL, TIMEOUT_SEC, LocalRun, make_tail, shell_environment
from tests.processes import free_port

AWKWARD = """it's "a;b",$HOME $(id) `id` #%\\ é=*?&+"""
"""What shells, make and URLs each have plans of their own for."""

ELSEWHERE = {"URL": "http://127.0.0.1:1", "KAFKA_WS_TOKEN": "t", "TOPIC": "admin.t"}


@pytest.fixture
def published(tmp_path: Path) -> Published:
    """A local run that is alive, in the test's own folder."""
    run = Published("http://127.0.0.1:18080", "run-token", "admin.sensors", os.getpid())
    run_file.publish(run, tmp_path)
    return run


# ------------------------------------------------------------------------------------------------ what is asked for


def test_a_local_run_gives_what_is_not_said(published: Published, tmp_path: Path) -> None:
    """Without any argument, the demo data of the local run is shown."""
    options = read_options([], {}, tmp_path)
    assert options == TailOptions(published.url, published.token, published.topic, where="", fields="", count=0)


def test_arguments_win_over_variables_and_these_over_the_local_run(published: Published, tmp_path: Path) -> None:
    """What is said last and nearest counts."""
    options = read_options(
        ["--topic", "admin.a", "--count", "2"], {"TOPIC": "admin.b", "KAFKA_WS_TOKEN": "mine"}, tmp_path
    )
    assert options == TailOptions(published.url, "mine", "admin.a", where="", fields="", count=2)


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        (ELSEWHERE, ELSEWHERE["URL"]),
        ({**ELSEWHERE, "URL": "https://kafka-ws.example/"}, "https://kafka-ws.example"),
        ({**ELSEWHERE, "URL": ""}, "http://127.0.0.1:8080"),
        ({**ELSEWHERE, "URL": "", "KAFKA_WS_SERVER_PORT": "8099"}, "http://127.0.0.1:8099"),
    ],
)
def test_another_system_is_reached_by_its_address_and_a_token(
    tmp_path: Path, environ: Mapping[str, str], url: str
) -> None:
    """A system that was not started from this folder, in containers say, needs a token and at most its address."""
    options = read_options([], environ, tmp_path)
    assert (options.url, options.token, options.topic) == (url, "t", "admin.t")


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({}, "Nothing to connect to: there is no local run of this folder. Start one with 'make run', or give"),
        ({"KAFKA_WS_SERVER_PORT": "8099"}, "Nothing to connect to: there is no local run of this folder at port 8099."),
        ({**ELSEWHERE, "KAFKA_WS_TOKEN": ""}, "A token is needed: give KAFKA_WS_TOKEN=..."),
        ({**ELSEWHERE, "TOPIC": ""}, "A topic is needed: give TOPIC=..."),
        ({**ELSEWHERE, "COUNT": "x"}, "COUNT (--count): 'x' is not a whole number."),
        ({**ELSEWHERE, "COUNT": "-1"}, "COUNT (--count): '-1' is not a whole number."),
        ({**ELSEWHERE, "KAFKA_WS_SERVER_PORT": "70000"}, "KAFKA_WS_SERVER_PORT: '70000' is not a whole number up to"),
    ],
)
def test_what_is_missing_or_wrong_is_told(tmp_path: Path, environ: Mapping[str, str], sentence: str) -> None:
    """The one who types the command reads which variable to give."""
    with pytest.raises(TailError) as error:
        read_options([], environ, tmp_path)
    assert str(error.value).startswith(sentence)


def test_every_character_of_topic_where_and_fields_reaches_the_server() -> None:
    """The URL holds the texts as they are, whatever characters they have."""
    url = socket_url(TailOptions("http://127.0.0.1:8080", "", "admin.a/ä b", AWKWARD, AWKWARD[::-1], 0), "0a")
    parts = urlsplit(url)
    assert (parts.scheme, parts.path) == ("ws", "/kafka-ws/v1/topics/admin.a%2F%C3%A4%20b")
    expected = {"ticket": ["0a"], "where": [AWKWARD], "fields": [AWKWARD[::-1]]}
    assert parse_qs(parts.query, strict_parsing=True) == expected


@pytest.mark.parametrize(
    ("code", "reason", "sentence"),
    [
        (4001, "invalid operator 'x'", "The filter has an unknown operator (close code 4001: invalid operator 'x')."),
        (4777, "", "The server closed the connection (close code 4777)."),
        (1000, "", "The server ended the stream (close code 1000)."),
        (None, None, "The connection was lost (close code 1006)."),
    ],
)
def test_a_close_is_told_in_words_with_its_code_and_reason(code: int | None, reason: str | None, sentence: str) -> None:
    """A person need not know the close codes, and one who does sees them."""
    assert close_sentence(code, reason) == sentence


# ------------------------------------------------------------------------------------------------ for real


@pytest.mark.parametrize("as_argument", [True, False], ids=["make tail WHERE=...", "WHERE=... make tail"])
def test_quotes_semicolons_and_dollars_pass_through_shell_and_make(local_run: LocalRun, as_argument: bool) -> None:
    """A filter quoted for the shell arrives as it was typed, as the server's answer shows."""
    escaped = AWKWARD.replace("\\", "\\\\").replace('"', '\\"')
    where = f'temperature=gte:"{escaped}";'
    variable = f"WHERE={shlex.quote(where)}"
    port = f"KAFKA_WS_SERVER_PORT={local_run.port}"
    before, behind = ("", variable) if as_argument else (variable, "")
    shown = subprocess.run(
        ["sh", "-c", f"{before} make tail {port} {behind} {shlex.join(NOTHING_TO_INSTALL)}"],
        cwd=REPOSITORY,
        env=shell_environment({}),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SEC,
        check=False,
    )
    assert shown.stderr.splitlines()[0] == (
        f"The filter has a value of the wrong type (close code 4004: invalid value {AWKWARD} for operator 'gte')."
    )


def test_a_quoted_semicolon_is_part_of_the_value(local_run: LocalRun) -> None:
    """Records are selected by a filter that holds quotes, commas and semicolons."""
    shown = local_run.tail('WHERE=sensor.id=in:"a;b","sensor-03";', "FIELDS=sensor/id", "COUNT=2")
    assert (shown.stdout, shown.returncode) == ('{"sensor":{"id":"sensor-03"}}\n' * 2, 0)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["WHERE=temperature=itn:5;"],
            "The filter has an unknown operator (close code 4001: invalid operator 'itn').",
        ),
        (
            ["TOPIC=other.sensors"],
            "The token's tenant may not read this topic (close code 4403: Tenant can't access this topic).",
        ),
        (
            ["FIELDS=a("],
            "The filter or the fields are not well-formed (close code 4000: invalid syntax).",
        ),
        (["KAFKA_WS_TOKEN=abc"], "The server refused the token: Invalid JWT token (HTTP 401)."),
    ],
)
def test_a_refusal_is_told_in_one_sentence(local_run: LocalRun, arguments: list[str], sentence: str) -> None:
    """What the server says no to is read at the terminal, with code and reason, and the command fails."""
    shown = local_run.tail(*arguments)
    assert shown.stderr.splitlines()[0] == sentence
    assert shown.stdout == ""
    assert shown.returncode != 0


def test_nobody_at_the_address_is_told() -> None:
    """When nothing listens there, the sentence names the address."""
    url = f"http://127.0.0.1:{free_port()}"
    shown = make_tail(f"URL={url}", "KAFKA_WS_TOKEN=t", "TOPIC=admin.t")
    assert shown.stderr.startswith(f"Cannot connect to {url}: ")
    assert shown.returncode != 0


def test_a_reader_that_has_enough_ends_it_quietly(local_run: LocalRun) -> None:
    """`... | head -1` shows one record and no complaint."""
    with subprocess.Popen(
        [sys.executable, "deploy/local/tail.py"],
        cwd=REPOSITORY,
        env=shell_environment({"KAFKA_WS_SERVER_PORT": str(local_run.port)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as tail:
        assert tail.stdout is not None
        assert tail.stderr is not None
        assert tail.stdout.readline().startswith("{")
        with suppress(BrokenPipeError):
            tail.stdout.close()
        assert tail.stderr.read() == ""
        assert tail.wait(TIMEOUT_SEC) == 0
