"""Apache Kafka's jars, fetched once per checkout through Maven into a git-ignored cache folder.

Called by :mod:`tests.kafka.cluster` before the first broker starts; several test runs may call it at once. `make test`
runs it as a program before, so that no test's time limit has to cover a download.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

_HERE = Path(__file__).parent
_POM = _HERE / "pom.xml"
_CACHE = _HERE.parents[1] / ".cache" / "kafka"
_LOWEST_JAVA = 17
"""Kafka 4 brokers need Java 17."""


class JarsUnavailableError(Exception):
    """Maven could not get the jars; the text is Maven's own."""


def missing_requirement() -> str | None:
    """What this machine lacks to run Kafka, as one sentence that says what to install; None when nothing."""
    if shutil.which("java") is None:
        return f"Apache Kafka needs Java: install Java {_LOWEST_JAVA} or later, e.g. openjdk-17-jre-headless"
    version = _java_major_version()
    if version < _LOWEST_JAVA:
        return f"Apache Kafka needs more than Java {version}: install Java {_LOWEST_JAVA} or later"
    if shutil.which("mvn") is None and not _stamp().exists():
        return "Apache Kafka is fetched by Maven: install Maven, the command mvn"
    return None


def classpath() -> str:
    """The class path of Kafka's programs. Fetches the jars when the cache has none for the current pom.

    :raises JarsUnavailableError: when Maven fails.
    """
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _stamp().exists():
            _fetch()
    return str(_folder() / "*")


def _fingerprint() -> str:
    return hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]


def _folder() -> Path:
    return _CACHE / f"jars-{_fingerprint()}"


def _stamp() -> Path:
    """Exists when the folder is complete."""
    return _CACHE / f"jars-{_fingerprint()}.complete"


def _fetch() -> None:
    for old in _CACHE.glob("jars-*"):
        if old.is_dir() and old != _folder():
            shutil.rmtree(old)
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={_folder()}", "-DincludeScope=runtime"]
    maven = subprocess.run(["mvn", "-q", "-B", "-f", str(_POM), *goal], capture_output=True, text=True, check=False)
    if maven.returncode != 0:
        raise JarsUnavailableError(f"mvn ended with {maven.returncode}:\n{maven.stdout}{maven.stderr}")
    _stamp().touch()


def _java_major_version() -> int:
    text = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    # `openjdk version "17.0.15" 2025-04-15`; Java 8 and before wrote "1.8.0_362".
    quoted = text.split('"')[1] if '"' in text else "0"
    parts = quoted.replace("-", ".").replace("_", ".").split(".")
    return int(parts[1] if parts[0] == "1" and len(parts) > 1 else parts[0])


def main() -> int:
    """Fetch the jars where that is possible; without Java or Maven do nothing, for the tests will tell."""
    if missing_requirement() is not None:
        return 0
    try:
        classpath()
    except JarsUnavailableError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
