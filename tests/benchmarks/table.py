"""Measurements as a table for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.benchmarks.measurement import Better, Measurement, compare

_VERDICTS = {True: "met", False: "MISSED", None: ""}
_HEADINGS = ("what", "result", "spread", "goal", "", "before", "change")


def number(value: float) -> str:
    """Three or four digits that matter, thousands marked."""
    magnitude = abs(value)
    if magnitude >= 1000:
        return f"{value:,.0f}"
    if magnitude >= 100:
        return f"{value:.0f}"
    if magnitude >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}"


def _row(one: Measurement, former: Measurement | None) -> tuple[str, ...]:
    low, high = one.spread
    spread = f"{number(low)} – {number(high)}" if len(one.values) > 1 else ""
    sign = "≥" if one.better is Better.HIGHER else "≤"
    goal = "" if one.goal is None else f"{sign} {number(one.goal)}"
    before = change = ""
    if former is not None:
        before = number(former.median)
        found = compare(one, former)
        if found is not None:
            verdict = ("better" if found.is_better else "worse") if found.is_clear else "or chance"
            change = f"x {found.ratio:.2f} {verdict}"
    return (one.title, f"{number(one.median)} {one.unit}", spread, goal, _VERDICTS[one.is_met], before, change)


def render(measurements: Sequence[Measurement], former: Mapping[str, Measurement] | None = None) -> str:
    """The table.

    Args:
        former: measurements of a former run by name; adds two columns.
    """
    rows = [_HEADINGS, *(_row(one, (former or {}).get(one.name)) for one in measurements)]
    columns = 5 if former is None else 7
    widths = [max(len(row[column]) for row in rows) for column in range(columns)]
    lines = []
    for place, row in enumerate(rows):
        cells = [row[0].ljust(widths[0]), *(row[column].rjust(widths[column]) for column in range(1, columns))]
        lines.append("  ".join(cells).rstrip())
        if place == 0:
            lines.append("  ".join("-" * width for width in widths))
    return "\n".join(lines)


def explain(one: Measurement) -> str:
    """One line about what a measurement cost, from its details; empty when they say nothing."""
    cpu = one.details.get("cpu_us_per_record")
    if not cpu:
        return ""
    return "CPU per record: " + ", ".join(f"{name} {number(value)} µs" for name, value in cpu.items())
