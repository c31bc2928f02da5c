"""What the tests of the benchmark harness share: a clock that only ticks, tiny plans."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import penstock
from penstock.bench import BUILTIN, Contender, Plan

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ABOUT", "DICT", "SUFFIX", "find", "ours", "plan", "ticking"]

DICT = next(c for c in BUILTIN if c.name == "dict")
SUFFIX = "" if penstock.BACKEND == "native" else " (pure)"
ABOUT = {"date": "2026-01-02", "cpu": "Z80", "cores": 1, "system": "CP/M", "python": "CPython 3"}
ABOUT |= {"penstock": "0", "peers": {"slowcache": "1.2", "absent": None}}


def ticking(step: int = 1) -> Callable[[], int]:
    """Return a clock that advances *step* nanoseconds with every reading."""
    return itertools.count(0, step).__next__


def plan(**changes: object) -> Plan:
    """Return a plan of two tiny rounds on a clock that only ticks."""
    usual: dict[str, object] = {"capacity": 8, "rounds": 2, "round_ns": 1, "waiters": 10}
    return Plan(**(usual | {"clock": ticking()} | changes))  # type: ignore[arg-type]


def find(name: str) -> Contender:
    """Return penstock's own contender of that name, on the backend in use."""
    return next(c for c in BUILTIN if c.name == f"{name}{SUFFIX}")


def ours(kind: str) -> list[Contender]:
    """Return penstock's own contenders of a kind of rows, on the backend in use."""
    return [c for c in BUILTIN if kind in c.kinds and c.backend == penstock.BACKEND]
