"""Whatever the pages name exists: links, headings, make targets, paths, environment variables, metrics."""

import importlib
import re

import prometheus_client
import pytest

from runtime.settings import is_secret
from tests.docs.page import PAGES, ROOT, code, prose, section, span, spans, table, text_of
from tests.docs.settings_table import settings

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_TARGET = re.compile(r"(?:^|[\s`$])make ([a-z][a-z-]*)\b")
_VARIABLE = re.compile(r"\bKAFKA_WS_[A-Z0-9_]*(?!\w|\*)")
_PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)+/?")
_OTHERS = {"KAFKA_WS_TOKEN": "deploy/local/tail_client.py"}
"""Variables that are no service's: where each is read."""


def anchor(heading: str) -> str:
    """The name that GitHub gives a heading: lower case, blanks as hyphens, nothing but letters, digits and those."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def make_targets() -> dict[str, str]:
    """Target -> help text of the Makefile's public targets."""
    return dict(re.findall(r"^([a-z-]+):.*?## (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE))


def variables() -> set[str]:
    """Every environment variable that a service reads."""
    found = set()
    for _, variable, field in settings():
        found.add(variable)
        if is_secret(field):
            found.add(f"{variable}_FILE")
    return found


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Relative links to files that exist, and to headings that exist in them; none to anywhere else."""
    for target in _LINK.findall(prose(text_of(page))):
        path, _, name = target.partition("#")
        assert "://" not in target, target
        assert (ROOT / (path or page)).exists(), target
        if name:
            assert name in map(anchor, _HEADING.findall(prose(text_of(path or page)))), target


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page: str) -> None:
    """Every `make x` that is set as code."""
    assert set(_TARGET.findall(code(text_of(page)))) <= make_targets().keys()


def test_every_make_target_is_described() -> None:
    """The table of commands has each target that `make` lists, and no other."""
    commands = [span(command).removeprefix("make ") for command, _ in table("command", text_of())]
    assert sorted(commands) == sorted(make_targets().keys())


@pytest.mark.parametrize("page", PAGES)
def test_paths_exist(page: str) -> None:
    """Every code span that looks like a path into one of the project's folders."""
    folders = {entry.name for entry in ROOT.iterdir() if entry.is_dir()}
    for text in spans(prose(text_of(page))):
        if _PATH.fullmatch(text) and text.split("/")[0] in folders:
            assert (ROOT / text).exists(), text


def test_modules_of_the_rooms_exist() -> None:
    """The names in the table of folders are modules or folders of that folder."""
    rows = table("folder", text_of())
    assert len(rows) == 8
    for folder, what in rows:
        room = ROOT / re.search(r"\((.*)\)", folder)[1]  # type: ignore[index]
        for name in spans(what):
            if not name.startswith("make"):
                assert (room / name).is_dir() or (room / f"{name}.py").is_file(), f"{room.name}: {name}"


@pytest.mark.parametrize("page", PAGES)
def test_variables_exist(page: str) -> None:
    """Every variable that is named is read by a service, passed to librdkafka, or read by `make tail`."""
    known = variables()
    for name in _VARIABLE.findall(text_of(page)):
        if name.endswith("_"):
            assert any(each.startswith(name) for each in known), name
        elif name in _OTHERS:
            assert f'"{name}"' in (ROOT / _OTHERS[name]).read_text(), name
        else:
            assert name in known or name.startswith("KAFKA_WS_CONSUMER_"), name


def test_variables_of_make_run_exist() -> None:
    """What `make run` and `make tail` are said to take is read by them."""
    sources = "".join(path.read_text() for path in (ROOT / "deploy/local").glob("*.py"))
    part = section("Take it apart", text_of())
    named = {name for row in table("variable of `make run`", text_of()) for name in spans(row[0])}
    named |= set(re.findall(r"`([A-Z]+)`", part))
    assert {"FILTERS", "EDGES", "COUNT", "URL"} <= named
    assert [name for name in named if f'"{name}"' not in sources] == []


def test_metrics_exist() -> None:
    """Every metric that is worth watching is one of a service."""
    for tier in ("edge", "filter_service", "ticket_service"):
        importlib.import_module(f"{tier}.metrics")
    exposed = prometheus_client.generate_latest().decode()
    rows = table("metric", text_of())
    assert len(rows) > 5
    for metric, _ in rows:
        assert f"# TYPE {span(metric)} " in exposed, metric
