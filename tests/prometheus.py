"""What a process says on its Prometheus endpoint. Blocking."""

import http.client
import re

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")


def metric(port: int, name: str, label: str = "") -> float:
    """The sum of all samples of a metric; 0 without any.

    :param port: of the endpoint, on 127.0.0.1.
    :param label: part of the labels, e.g. `code="4429"`.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    samples = (_SAMPLE.match(line) for line in text.splitlines())
    return sum(float(sample[3]) for sample in samples if sample and sample[1] == name and label in (sample[2] or ""))
