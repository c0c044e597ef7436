"""The load client against `ws_blast`, whose every frame is known."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.benchmarks.load_client import LoadClient, LoadClientError

_SOURCES = Path(__file__).parent / "load"

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="the load client needs a C compiler: install gcc")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the compiled programs; warnings are errors."""
    folder = tmp_path_factory.mktemp("programs")
    for source in _SOURCES.glob("*.c"):
        command = ["cc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
        subprocess.run([*command, "-fsanitize=undefined", "-o", folder / source.stem, source], check=True)
    return folder


@contextmanager
def _blasting(
    programs: Path, directory: Path, sockets: int, frame_bytes: int, chunk_bytes: int, each: int
) -> Iterator[LoadClient]:
    command = [str(programs / "ws_blast"), str(sockets), str(frame_bytes), str(chunk_bytes), str(each)]
    blast = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert blast.stdout is not None
    try:
        address = f"127.0.0.1:{blast.stdout.readline().strip()}"
        with LoadClient(directory, address, "any", programs) as client:
            yield client
        blast.wait(30)
    finally:
        blast.kill()
        blast.wait()
        blast.stdout.close()


@pytest.mark.parametrize("frame_bytes", [16, 127, 128, 134, 60_000])
@pytest.mark.parametrize("chunk_bytes", [1, 100_000])
def test_every_frame_is_counted_however_it_is_cut(
    programs: Path, tmp_path: Path, frame_bytes: int, chunk_bytes: int
) -> None:
    """Frames with every kind of length, in writes of one frame or many, are counted once each, for each socket."""
    sockets, each = 7, 300
    with _blasting(programs, tmp_path, sockets, frame_bytes, chunk_bytes, each) as client:
        client.begin_open(sockets, ["/a", "/b?c=d"], at_once=3)
        client.expect(sockets * each)
        assert client.wait_open().opened == sockets
        report = client.wait_expected(30)
        assert (report.frames, report.least, report.most) == (sockets * each, each, each)
        assert report.bytes <= report.frames * frame_bytes
        assert report.latency.count == sockets * each


def test_a_refused_socket_is_an_error_with_the_servers_answer(programs: Path, tmp_path: Path) -> None:
    """Sockets that cannot be opened are no silent zero."""
    with LoadClient(tmp_path, "127.0.0.1:1", "any", programs) as client:
        client.begin_open(1, ["/a"])
        with pytest.raises(LoadClientError, match="refused"):
            client.wait_open()
