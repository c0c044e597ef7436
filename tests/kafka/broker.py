"""One Apache Kafka node (broker and KRaft controller in one process) of a test cluster.

Made and driven by :mod:`tests.kafka.cluster` only.
"""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.kafka.jars import classpath
from tests.processes import Process, accepts_connections, free_port

_LOGGING = Path(__file__).with_name("log4j2.properties")
_START_TIMEOUT_SEC = 90.0

QUICK_START = ("-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
"""JVM options that make a broker start soonest and smallest. `TieredStopAtLevel=1` keeps the JIT compiler cheap; it
costs throughput, so benchmarks choose :data:`HIGH_THROUGHPUT`."""

HIGH_THROUGHPUT = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-Xshare:auto")
"""JVM options for benchmarks: the optimising compiler is on."""


class Broker:
    """One node: its ports, its folder, its process.

    :param node_id: from 1.
    :param directory: a folder of its own; the records live in `data/` below it.
    :param jvm_options: heap and compiler options.
    """

    def __init__(self, node_id: int, directory: Path, jvm_options: Sequence[str]) -> None:
        self.node_id = node_id
        self.port = free_port()
        self.controller_port = free_port()
        self.directory = directory
        self._properties = directory / "server.properties"
        self._java = ["java", *jvm_options, f"-Dlog4j2.configurationFile={_LOGGING}", "-Djava.awt.headless=true"]
        self._java += ["-cp", classpath()]
        command = [*self._java, "kafka.Kafka", str(self._properties)]
        self.process = Process(f"kafka-{node_id}", command, log_path=directory / "broker.log")

    @property
    def address(self) -> str:
        """`host:port` for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def voter(self) -> str:
        """Its entry in `controller.quorum.voters`."""
        return f"{self.node_id}@127.0.0.1:{self.controller_port}"

    def begin_format(self, cluster_id: str, settings: Mapping[str, str]) -> subprocess.Popen[str]:
        """Write `server.properties` and start the program that formats the storage; see :meth:`finish_format`.

        :param settings: broker settings common to the cluster; the node's own are added here.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        own = {
            "process.roles": "broker,controller",
            "node.id": str(self.node_id),
            "listeners": f"CLIENTS://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"CLIENTS://127.0.0.1:{self.port}",
            "listener.security.protocol.map": "CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "CLIENTS",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self.directory / "data"),
        }
        lines = [f"{name}={value}\n" for name, value in {**own, **settings}.items()]
        self._properties.write_text("".join(lines))
        tool = [
            *self._java,
            "kafka.tools.StorageTool",
            "format",
            f"--cluster-id={cluster_id}",
            "-c",
            str(self._properties),
        ]
        return subprocess.Popen(tool, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def configure(self, settings: Mapping[str, str]) -> None:
        """Change broker settings; they hold from its next start on."""
        with self._properties.open("a") as file:
            # Of two lines with one name the latter holds.
            file.writelines(f"{name}={value}\n" for name, value in settings.items())

    @staticmethod
    def finish_format(tool: subprocess.Popen[str]) -> None:
        """Wait for the program that :meth:`begin_format` has started.

        :raises RuntimeError: when it failed, with its output.
        """
        output, _ = tool.communicate()
        if tool.returncode != 0:
            raise RuntimeError(f"formatting the storage of a broker failed:\n{output}")

    def wait_ready(self) -> None:
        """Wait until it takes part in the cluster and serves clients.

        :raises ProcessFailedError: when it ends before, or takes too long.
        """
        # A node opens its client port only after the controller has let it join ("unfenced" it).
        self.process.wait_ready(lambda: accepts_connections(self.port), _START_TIMEOUT_SEC)

    def remove_data(self) -> None:
        """Delete the records; log and settings stay."""
        shutil.rmtree(self.directory / "data", ignore_errors=True)
