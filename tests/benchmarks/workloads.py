"""Rules and records for the benchmarks: many distinct rules of one kind, and records that some of them match.

Everything is drawn from a seed, so that two runs, and two versions, see the same. Records are JSON objects of about
130 bytes, as a sensor would send them.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import orjson

from filter_service.language import Rule, compile_where

_SEED = 20240229
_DEVICES = 100_000
_STATES = ("ok", "warning", "failed", "starting", "stopped", "unknown")
_LETTERS = string.ascii_lowercase


@dataclass(frozen=True)
class Workload:
    """Rules, and payloads to match them with.

    Attributes:
        kind: name of the kind of rules.
        rules: distinct.
        payloads: JSON, in UTF-8.
    """

    kind: str
    rules: list[Rule]
    payloads: list[bytes]


def _record(draw: random.Random, words: list[str]) -> dict[str, object]:
    return {
        "device": f"sensor-{draw.randrange(_DEVICES):05}",
        "temperature": round(draw.uniform(0, 100), 3),
        "humidity": round(draw.uniform(0, 100), 3),
        "counter": draw.randrange(1_000_000),
        "state": draw.choice(_STATES),
        "active": draw.random() < 0.5,
        "note": " ".join(draw.choices(words, k=draw.randint(1, 4))),
    }


def _word(draw: random.Random) -> str:
    return "".join(draw.choices(_LETTERS, k=draw.randint(6, 10)))


def _between(draw: random.Random, path: str, share: float, gt: str = "gt", lt: str = "lt") -> str:
    """A range of numbers from 0 to 100 that holds a share of them."""
    share = min(share, 1.0)
    low = draw.uniform(0, 100 * (1 - share))
    return f"{path}={gt}:{low:.6f};{path}={lt}:{low + 100 * share:.6f};"


def _ranges(draw: random.Random, share: float, _words: list[str]) -> str:
    side = share**0.5
    return _between(draw, "temperature", side) + _between(draw, "humidity", side, "gte", "lte")


def _equality(draw: random.Random, share: float, _words: list[str]) -> str:
    return f"counter=eq:{draw.randrange(1_000_000)};"


def _substring(draw: random.Random, share: float, words: list[str]) -> str:
    return f"note=in:{words.pop()};"


def _mix(draw: random.Random, share: float, words: list[str]) -> str:
    """All operators on six paths, two to four conditions in a rule."""
    digits = next(digits for digits in range(1, 6) if (6 - digits) / 10**digits < 2 * share or digits == 5)
    piece = f"{draw.randrange(10**digits):0{digits}}"
    half = f"{draw.uniform(30, 70):.4f}"
    active = draw.choice(("true", "false"))
    return draw.choice(
        (
            _between(draw, "temperature", share * 1.5)
            + f"counter=neq:{draw.randrange(1_000_000)};state=nin:failed,stopped;",
            _between(draw, "humidity", share * 2, "gte", "lte") + f"active=bool:{active};",
            f"device=in:{piece};temperature=gt:{half};",
            f"device=in:{piece};state=in:{draw.choice(_STATES)},{draw.choice(_STATES)};humidity=lte:{half};",
            f"counter=eq:{draw.randrange(1_000_000)};active=bool:{active};",
            _between(draw, "temperature", (share * 2) ** 0.5)
            + _between(draw, "humidity", (share * 2) ** 0.5)
            + f"active=bool:{active};",
        )
    )


_KINDS: dict[str, Callable[[random.Random, float, list[str]], str]] = {
    "equality": _equality,
    "two ranges": _ranges,
    "substring": _substring,
    "mix": _mix,
}
KINDS = tuple(_KINDS)


def workload(kind: str, rules: int, matching: float = 5, records: int = 1000) -> Workload:
    """Distinct rules of a kind, and records.

    Args:
        kind: one of `KINDS`.
        rules: how many.
        matching: how many of the rules match a record, on average; followed by the kinds that have ranges.
        records: how many.
    """
    draw, words = _drawing(kind, rules)
    known = words[-rules:] if kind == "substring" else words[:100]
    compiled = [compile_where(text) for text in _texts(kind, rules, matching, draw, words)]
    return Workload(kind, compiled, [orjson.dumps(_record(draw, known)) for _ in range(records)])


def texts(kind: str, rules: int, matching: float = 5) -> Iterable[str]:
    """The rules of a workload as `where` texts."""
    return _texts(kind, rules, matching, *_drawing(kind, rules))


def _drawing(kind: str, rules: int) -> tuple[random.Random, list[str]]:
    draw = random.Random(f"{_SEED} {kind} {rules}")
    return draw, list({_word(draw): None for _ in range(rules + rules // 10 + 10)})


def _texts(kind: str, rules: int, matching: float, draw: random.Random, words: list[str]) -> Iterable[str]:
    found: dict[str, None] = {}
    while len(found) < rules:
        found[_KINDS[kind](draw, min(1.0, matching / rules), words)] = None
    return found
