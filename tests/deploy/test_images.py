"""The images, as far as they show without a container engine: Dockerfiles, locked packages, what goes into them."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distributions, packages_distributions
from pathlib import Path

import pytest

from deploy.local.settings import REPOSITORY
from tests.deploy.dockerfile import Stage, stages
from tests.deploy.tiers import DEPLOY, TIERS, Tier

RUN_LOCK = REPOSITORY / "requirements" / "run.txt"
SHARED = ("proto/generated", "runtime")
IMPORT = """
import importlib, sys
from importlib.metadata import packages_distributions
package, packages, *installed = sys.argv[1:]
sys.path.append(packages)

class Absent:
    owners = packages_distributions()
    def find_spec(self, name, path=None, target=None):
        owners = self.owners.get(name.partition(".")[0], ())
        if owners and not set(owners) & set(installed):
            raise ModuleNotFoundError(name + " is not installed", name=name)

sys.meta_path.insert(0, Absent())
importlib.import_module(package + ".__main__")
print("\\n".join(filter(None, (getattr(module, "__file__", None) for module in list(sys.modules.values())))))
"""
"""Imports a package as if only some of the distributions in a folder were installed; prints the files of all modules.
Arguments: the package, the folder, and the distributions."""


def normalised(name: str) -> str:
    """A distribution's name as the package index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(path: Path) -> dict[str, str]:
    """Distribution -> version; every one has hashes."""
    versions = {}
    for block in re.split(r"\n(?=[a-z])", re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE).strip()):
        requirement = re.match(r"([A-Za-z0-9._-]+)(?:\[.*\])?==([^ ;\\]+)", block)
        assert requirement is not None, block
        assert "--hash=sha256:" in block, block
        versions[normalised(requirement[1])] = requirement[2]
    return versions


def asked_for(path: Path) -> set[str]:
    """The distributions of an `.in` file and of those that it includes."""
    names = set()
    for line in path.read_text().splitlines():
        if line.startswith("-r "):
            names |= asked_for(path.parent / line.removeprefix("-r "))
        elif line and not line.startswith("#"):
            names.add(normalised(line.partition("[")[0]))
    return names


def imported(folder: Path) -> set[str]:
    """Top-level modules that the sources in a folder import."""
    names = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names


@pytest.fixture(params=TIERS, ids=str)
def tier(request: pytest.FixtureRequest) -> Tier:
    """Each tier in turn."""
    found: Tier = request.param
    return found


@pytest.fixture
def build(tier: Tier) -> Stage:
    """The stage that installs and copies."""
    return stages(tier.dockerfile)[0]


@pytest.fixture
def final(tier: Tier) -> Stage:
    """The stage that becomes the image."""
    found = stages(tier.dockerfile)
    assert len(found) == 2
    return found[1]


def test_an_image_holds_its_own_tier_and_what_all_share(tier: Tier, build: Stage, final: Stage) -> None:
    """No image has the sources of another tier, nor tests, tools or lock files."""
    sources = {source for instruction in build.all("COPY") for source in instruction.words[:-1]}
    assert sources == {*SHARED, tier.package, "LICENSE", str(tier.lock.relative_to(REPOSITORY))}
    assert all((REPOSITORY / source).exists() for source in sources)
    assert all(instruction.flags.get("from") == "build" for instruction in final.all("COPY"))
    assert [instruction.words for instruction in final.all("COPY")] == [["/opt/venv"] * 2, ["/app"] * 2]
    assert build.all("ADD") == final.all("ADD") == final.all("RUN") == []


def test_an_image_runs_its_tier_as_an_unprivileged_user(tier: Tier, final: Stage) -> None:
    """The process has a numeric user other than root, which Kubernetes can check, and is the tier itself."""
    user, group = map(int, final.last("USER").split(":"))
    assert user > 0
    assert group > 0
    assert json.loads(final.last("CMD")) == ["python", "-m", tier.package]
    assert final.all("ENTRYPOINT") == []
    assert final.last("EXPOSE") == str(tier.port)


def test_an_image_is_slim_and_of_a_supported_python(build: Stage, final: Stage) -> None:
    """Both stages begin with the same slim Python image, of a version that the project supports."""
    version = re.fullmatch(r"python:(3\.[0-9]+)-slim-[a-z]+", final.base)
    assert version is not None
    assert build.base == final.base
    assert int(version[1].split(".")[1]) >= 11


def test_an_image_listens_to_the_network_with_settings_that_exist(tier: Tier, final: Stage) -> None:
    """In a container the loopback interface reaches nobody; the variables that change this are real ones."""
    given = {name: value for name, value in final.environment.items() if name.startswith("KAFKA_WS_")}
    assert set(given) == {f"KAFKA_WS_{tier.host_field.upper()}", "KAFKA_WS_METRICS_HOST"}
    assert set(given) <= tier.variables
    assert set(given.values()) == {"0.0.0.0"}
    assert final.environment["PYTHONPATH"] == "/app:/app/proto/generated"


def test_an_image_installs_only_what_is_locked_by_hash(tier: Tier, build: Stage) -> None:
    """Packages come from the tier's lock file, checked by hash, in the versions that the project is tested with."""
    (install,) = [instruction.text for instruction in build.all("RUN") if "pip " in instruction.text]
    assert "--require-hashes" in install
    assert install.endswith("--requirement requirements.txt")
    everything = locked(RUN_LOCK)
    assert {name: everything.get(name) for name in locked(tier.lock)} == locked(tier.lock)


def test_an_image_installs_what_its_tier_imports_and_nothing_else(tier: Tier) -> None:
    """What is asked for by name is what the sources of the tier, the contracts and the runtime import."""
    folders = (REPOSITORY / tier.package, *(REPOSITORY / folder for folder in SHARED))
    owners = packages_distributions()
    asked = asked_for(tier.lock.with_suffix(".in"))
    names = set().union(*(imported(folder) for folder in folders))
    found = {name: set(map(normalised, owners[name])) for name in names if name in owners}
    assert [name for name, distributions in found.items() if not distributions & asked] == []
    assert asked - set().union(*found.values()) == set()
    assert asked <= set(locked(tier.lock))


def test_an_image_asks_for_nothing_that_the_project_does_not_depend_on(tier: Tier) -> None:
    """Which versions will do is said in one place, the project's own dependencies."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {normalised(re.split(r"[^A-Za-z0-9._-]", requirement)[0]) for requirement in project}
    assert asked_for(tier.lock.with_suffix(".in")) <= names


def test_a_tier_starts_from_what_its_image_holds(tier: Tier, tmp_path: Path) -> None:
    """Copied apart from the rest, the tier can be imported, and uses no package that its image does not install."""
    for folder in (tier.package, *SHARED):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    packages = str(Path(pytest.__file__).parents[1])
    names = {distribution.name for distribution in distributions(path=[packages])}
    installed = {name for name in names if normalised(name) in locked(tier.lock)}
    shown = subprocess.run(
        # `-S`: without `.pth` files, which name the folder of the sources.
        [sys.executable, "-S", "-c", IMPORT, tier.package, packages, *installed],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tmp_path}:{tmp_path / 'proto' / 'generated'}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (shown.stderr, shown.returncode) == ("", 0)
    places = (str(tmp_path), packages, str(Path(os.__file__).parent))
    assert [file for file in shown.stdout.splitlines() if not file.startswith(places)] == []


def test_the_builder_is_sent_what_the_images_need_and_no_more() -> None:
    """`.dockerignore` lets through exactly what the Dockerfiles copy: no environment, no cache, no secret."""
    lines = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    let_through = {line[1:] for line in lines if line.startswith("!")}
    copies = [instruction for tier in TIERS for instruction in stages(tier.dockerfile)[0].all("COPY")]
    copied = {source for instruction in copies for source in instruction.words[:-1]}
    locks = str((DEPLOY / "images" / "requirements").relative_to(REPOSITORY))
    assert let_through == {locks if source.startswith(f"{locks}/") else source for source in copied}
