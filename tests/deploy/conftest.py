"""Fixtures of the tests of `deploy/`."""

import sys
from collections.abc import Iterator

import pytest

from tests.deploy.local_run import LocalRun


@pytest.fixture(scope="package")
def local_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRun]:
    """A plain `make run`, shared by the tests of this package. Parts may be killed, they come back."""
    if sys.platform != "linux":
        pytest.skip("finds processes in /proc, which needs Linux")
    with LocalRun(tmp_path_factory.mktemp("local-run")) as run:
        yield run
