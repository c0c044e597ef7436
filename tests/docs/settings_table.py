"""The table of settings in README.md, made from the services' settings classes.

`make docs` runs this module as a program, which writes the table; a test says when somebody forgot to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from edge.config import EdgeSettings
from filter_service.config import FilterSettings
from runtime.settings import ServiceSettings, is_secret, variable_name
from ticket_service.config import TicketServiceSettings

README = Path(__file__).resolve().parents[2] / "README.md"
TIERS: dict[str, type[ServiceSettings]] = {
    "edge": EdgeSettings,
    "filter": FilterSettings,
    "ticket": TicketServiceSettings,
}
_MARKED = re.compile(r"(<!-- settings: [^\n]*-->\n).*?(<!-- end of settings -->\n)", re.DOTALL)
_UNITS = ((1024 * 1024, "MiB"), (1024, "KiB"))


def settings() -> Iterator[tuple[str, str, FieldInfo]]:
    """Every setting as (tier, variable, field), those that all tiers share first."""
    shared = ServiceSettings.model_fields
    for name, field in shared.items():
        yield "all", variable_name(name), field
    for tier, settings_class in TIERS.items():
        for name, field in settings_class.model_fields.items():
            if name not in shared:
                yield tier, variable_name(name), field


def table() -> str:
    """The table in Markdown."""
    lines = ["| variable | tier | if not set | meaning |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{variable}` | {tier} | {_default(field)} | {_meaning(field)} |" for tier, variable, field in settings()
    ]
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """A page with the table as it has to be between its two marks."""
    assert _MARKED.search(page), "README.md has lost the marks around its table of settings"
    return _MARKED.sub(lambda match: f"{match[1]}{table()}{match[2]}", page)


def _meaning(field: FieldInfo) -> str:
    assert field.description, f"{field!r} has no description"
    secret = " (secret)" if is_secret(field) else ""
    return re.sub(r"(?<!`)\b(KAFKA_WS_[A-Z0-9_]+)", r"`\1`", field.description.removesuffix(".")) + secret


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    assert value is not PydanticUndefined, f"{field!r} has no default"
    if value is None or value in ("", ()):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{','.join(value)}`"
    if isinstance(value, int) and value >= 1024 and "Bytes" in (field.description or ""):
        for size, unit in _UNITS:
            if value % size == 0:
                return f"`{value}` ({value // size} {unit})"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def main() -> None:
    """Writes the table into README.md."""
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
