"""What the code imports is declared in pyproject.toml, and what is installed is locked."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OWN = {"edge", "filter_service", "ticket_service", "runtime", "deploy", "tests", "kafka_ws"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def distribution(requirement: str) -> str:
    """The name in a requirement, as indexes compare names (PEP 503)."""
    return normalised(re.split(r"[^\w.-]", requirement)[0])


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(*extras: str) -> set[str]:
    """Distributions that pyproject.toml lists, with those of some extras."""
    requirements = [*PROJECT["dependencies"], *(r for extra in extras for r in PROJECT["optional-dependencies"][extra])]
    return {distribution(requirement) for requirement in requirements}


def imported(folder: str) -> set[str]:
    """Distributions whose modules a folder's sources import; a module that several share counts by any of them."""
    modules = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                modules.add(node.module.split(".")[0])
    owners = packages_distributions()
    foreign = modules - set(sys.stdlib_module_names) - OWN
    # What is no distribution's is a generated parser beside the module that imports it.
    return {normalised(owners[module][0]) for module in foreign if module in owners}


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("edge", ()),
        ("filter_service", ()),
        ("ticket_service", ()),
        ("runtime", ()),
        ("deploy", ("local",)),
        ("examples", ("local",)),
        ("tests", ("local", "dev", "bench")),
    ],
)
def test_what_is_imported_is_declared(folder: str, extras: tuple[str, ...]) -> None:
    """No module rests on a package that is only there because another one needs it."""
    found = imported(folder)
    assert found
    assert found <= declared(*extras)


@pytest.mark.parametrize("lock", ["run", "dev"])
def test_locks_are_exact(lock: str) -> None:
    """Each requirement has one version and hashes, and says nothing of where it is fetched from."""
    text = (ROOT / f"requirements/{lock}.txt").read_text()
    assert "://" not in text
    assert not re.search(r"^-", text, re.MULTILINE)  # options, such as an index
    requirements = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert len(requirements) > 20
    assert all("--hash=sha256:" in requirement for requirement in requirements)
    assert {distribution(requirement) for requirement in requirements} >= declared("local")
