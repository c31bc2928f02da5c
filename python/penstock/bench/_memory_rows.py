"""Memory per entry: a child process per contender, the growth of its resident set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final, cast

from penstock.bench._model import Contender, Outcome, Plan, Result, Row
from penstock.bench._subjects import check_installed, each

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MEMORY_ROWS", "ask_child", "child_environment", "run_child"]

_TIMEOUT: Final = 120
# What an unbounded dict takes is known; another figure means that the method is off here.
_DICT_BYTES: Final = (38, 46)
_TRUSTED_ENTRIES: Final = 1_000_000


def child_environment(backend: str | None) -> dict[str, str]:
    """Return this environment, switched to *backend*, able to import what this process can."""
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    environment.pop("PENSTOCK_REQUIRE_NATIVE", None)
    if backend == "pure":
        environment["PENSTOCK_PURE"] = "1"
    return environment


def run_child(command: Sequence[str], text: str, backend: str | None) -> str:
    """
    Run ``python *command*`` with *text* on its standard input and return its output.

    Raises:
        RuntimeError: It failed; the message is the last line it wrote.
    """
    done = subprocess.run(  # this very interpreter
        [sys.executable, *command],
        input=text,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        env=child_environment(backend),
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise RuntimeError(lines[-1])
    return done.stdout


def ask_child(contender: Contender, entries: int, **more: str) -> dict[str, int]:
    """Let a child process build and fill the contender; return what it answers."""
    asked = {
        "make": contender.make,
        "store": contender.ops["new"],
        "bind": contender.bind,
        "penstock": contender.backend is not None,
        "entries": entries,
    }
    text = json.dumps(asked | more)
    answer = run_child(["-m", "penstock.bench._memory_child"], text, contender.backend)
    return cast("dict[str, int]", json.loads(answer))


def _measure(row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome) -> None:
    samples: dict[str, list[float]] = {}

    def weigh(contender: Contender) -> None:
        check_installed(contender)
        found = ask_child(contender, plan.entries)["bytes"]
        samples[contender.name] = [found / plan.entries]

    each(contenders, row, outcome, weigh)
    _check(samples, plan, outcome)
    result = Result(row.name, "cache operations", "int to int", "B/entry", samples, digits=0)
    outcome.results.append(result)


def _check(samples: dict[str, list[float]], plan: Plan, outcome: Outcome) -> None:
    if "dict" not in samples or plan.entries != _TRUSTED_ENTRIES:
        return
    low, high = _DICT_BYTES
    found = samples["dict"][0]
    if not low <= found <= high:
        outcome.notes["memory"] = f"dict takes {found:.0f} B/entry, not {low}-{high}: do not trust"


MEMORY_ROWS: Final[tuple[Row, ...]] = (
    Row("memory.int", "memory", "bytes per entry, int to int, resident set of a child", _measure),
)
