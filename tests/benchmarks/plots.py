"""Measurements as SVG plots. Which there are depends on what was measured; each function draws one.

A measurement says in its `details` what it contributes: `rules` and `operator` (matching), `sockets` (fan-out),
`histogram` (latency), `memory_mb` (soak).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from tests.benchmarks.measurement import Measurement

_SIZE_INCHES = (7.5, 4.5)
_POINTS_PER_DOUBLING = 4
"""Of a latency histogram: fine enough to see its form, coarse enough to be read."""


def draw_all(directory: Path, measurements: Sequence[Measurement]) -> list[Path]:
    """Draws what can be drawn of these measurements; returns the files."""
    plots: dict[str, Callable[[Axes, Sequence[Measurement]], bool]] = {
        "matching": _matching,
        "fan_out": _fan_out,
        "latency": _latency,
        "memory": _memory,
    }
    directory.mkdir(parents=True, exist_ok=True)
    files = []
    for name, draw in plots.items():
        figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        if draw(axes, measurements):
            axes.grid(visible=True, which="major", alpha=0.3)
            path = directory / f"{name}.svg"
            # Without a date the same figures give the same file.
            figure.savefig(path, metadata={"Date": None})
            files.append(path)
    return files


def _plain(value: float, _: object) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _log_axes(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(_plain))


def _line(axes: Axes, points: Sequence[tuple[float, Measurement]], label: str | None = None) -> None:
    """The medians as a line, with the spread of the runs."""
    ordered = sorted(points, key=lambda point: point[0])
    middle = [one.median for _, one in ordered]
    below = [one.median - one.spread[0] for _, one in ordered]
    above = [one.spread[1] - one.median for _, one in ordered]
    axes.errorbar([x for x, _ in ordered], middle, yerr=[below, above], marker="o", capsize=3, label=label)


def _matching(axes: Axes, measurements: Sequence[Measurement]) -> bool:
    by_operator: dict[str, list[tuple[float, Measurement]]] = defaultdict(list)
    for one in measurements:
        if "rules" in one.details and "operator" in one.details:
            by_operator[one.details["operator"]].append((one.details["rules"], one))
    for operator, points in by_operator.items():
        _line(axes, points, operator)
    if by_operator:
        _log_axes(axes)
        axes.set_xlabel("rules")
        axes.set_ylabel("µs per record, parsing included")
        axes.set_title("Matching: cost over the number of rules")
        axes.legend()
    return bool(by_operator)


def _fan_out(axes: Axes, measurements: Sequence[Measurement]) -> bool:
    points = [(float(one.details["sockets"]), one) for one in measurements if one.name.startswith("fan_out.")]
    if points:
        _line(axes, points)
        _log_axes(axes)
        axes.set_xlabel("sockets on one stream")
        axes.set_ylabel("deliveries/s")
        axes.set_title("Fan-out at full speed")
    return bool(points)


def _latency(axes: Axes, measurements: Sequence[Measurement]) -> bool:
    drawn = False
    for one in measurements:
        if "histogram" not in one.details:
            continue
        shares: dict[float, float] = defaultdict(float)
        total = sum(count for _, count in one.details["histogram"])
        for bound, count in one.details["histogram"]:
            # From the client's fine buckets to a few per doubling: the nearest power.
            step = 0.001
            while step < bound:
                step *= 2 ** (1 / _POINTS_PER_DOUBLING)
            shares[step] += 100 * count / total
        axes.plot(sorted(shares), [shares[bound] for bound in sorted(shares)], label=one.title.partition(":")[0])
        drawn = True
    if drawn:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(_plain))
        axes.set_xlabel("latency in ms, from produce() to the client's recv()")
        axes.set_ylabel("% of the deliveries")
        axes.set_title("Latency")
        axes.legend()
    return drawn


def _memory(axes: Axes, measurements: Sequence[Measurement]) -> bool:
    soak = next((one for one in measurements if "memory_mb" in one.details), None)
    if soak is None:
        return False
    for name, samples in soak.details["memory_mb"].items():
        axes.plot([at for at, _ in samples], [megabytes for _, megabytes in samples], label=name)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("seconds")
    axes.set_ylabel("MB")
    axes.set_title("Memory under load and churn")
    axes.legend()
    return True
