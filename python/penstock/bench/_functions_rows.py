"""Tool calls: what one takes that reads a file, and what it takes when its result was kept."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from penstock.bench._cached_rows import decorated
from penstock.bench._engine import AsyncRunner, Runner, SyncRunner, compile_loop, interleave
from penstock.bench._flow_rows import in_loop
from penstock.bench._model import Contender, Outcome, Plan, Result, Row
from penstock.bench._subjects import each

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FUNCTIONS_ROWS"]

_BYTES: Final = 10_240
_CALLS_PER_PASS: Final = 100
_US: Final = 1e3
#: What the tool does, and what is looked at after each call.
_TOOL: Final = """\
async def f(path, *, encoding="utf-8"):
    with open(path, encoding=encoding) as file:
        return file.read()
"""
_CALL: Final = "text = await f(path)\nassert len(text) == size, 'something else was read'"


def _measure(row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome) -> None:
    runners: dict[str, Runner] = {}
    keys: list[object] = list(range(_CALLS_PER_PASS))
    with tempfile.TemporaryDirectory() as folder, in_loop() as event_loop:
        path = Path(folder) / "page.txt"
        path.write_text("x" * _BYTES)

        def prepare(contender: Contender) -> None:
            f = decorated(contender, _TOOL)
            loop = compile_loop(_CALL, {"path": str(path), "size": _BYTES}, coroutine=True)
            runner = AsyncRunner(SyncRunner(loop, f, keys, plan.clock), event_loop)
            runner(1)
            runners[contender.name] = runner

        each(contenders, row, outcome, prepare)
        samples = interleave(runners, rounds=plan.rounds, round_ns=plan.round_ns)
    figures = {name: [spent / _US for spent in spans] for name, spans in samples.items()}
    title = "await tool(path), 10 KB"
    outcome.results.append(Result(row.name, "tool calls", title, "us", figures, digits=2))


FUNCTIONS_ROWS: Final[tuple[Row, ...]] = (
    Row(
        "functions.tool",
        "tool",
        "a tool call that reads a file of 10 KB, and the same from a cache",
        _measure,
    ),
)
