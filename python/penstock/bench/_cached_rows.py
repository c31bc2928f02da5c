"""Memoizing decorators: a hit with one str argument, and with (int, int, flag=True)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from penstock.bench._engine import AsyncRunner, Runner, SyncRunner, compile_loop, interleave
from penstock.bench._model import Contender, Outcome, Plan, Result, Row
from penstock.bench._subjects import build, each

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CACHED_ROWS", "decorated"]

_CALLS_PER_PASS: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Call:
    title: str
    function: str
    call: str


_ONE = _Call("f(str)", "def f(key):\n    return key\n", "f(s)")
_THREE = _Call(
    "f(int, int, flag=True)", "def f(a, b, flag=False):\n    return a\n", "f(1, 2, flag=True)"
)


def decorated(contender: Contender, function: str, **given: object) -> object:
    """Define the undecorated ``f`` from *function*, decorate it, return the result."""
    # Defined together with `make`, so that every contender wraps a function of its own.
    alone = Contender(
        contender.name,
        contender.kinds,
        f"{function}\n{contender.make}",
        needs=contender.needs,
        backend=contender.backend,
    )
    return build(alone, __name__="bench", **given)["f"]


def _measure(
    what: _Call, row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome
) -> None:
    coroutine = row.kind == "async"
    event_loop = asyncio.new_event_loop()
    asyncio.set_event_loop(event_loop)
    keys: list[object] = list(range(_CALLS_PER_PASS))
    runners: dict[str, Runner] = {}

    def prepare(contender: Contender) -> None:
        prefix, wait = ("async ", "await ") if coroutine else ("", "")
        f = decorated(contender, prefix + what.function)
        loop = compile_loop(wait + what.call, {}, bind='s = "user:17"', coroutine=coroutine)
        inner = SyncRunner(loop, f, keys, plan.clock)
        runner = AsyncRunner(inner, event_loop) if coroutine else inner
        runner(1)
        runners[contender.name] = runner

    try:
        each(contenders, row, outcome, prepare)
        samples = interleave(runners, rounds=plan.rounds, round_ns=plan.round_ns)
    finally:
        asyncio.set_event_loop(None)
        event_loop.close()
    title = f"await {what.title}" if coroutine else what.title
    table = f"cached, {row.kind}: hit"
    outcome.results.append(Result(row.name, table, title, "ns", samples))


def _row(kind: str, name: str, summary: str, what: _Call) -> Row:
    return Row(f"cached.{kind}.{name}", kind, summary, partial(_measure, what))


CACHED_ROWS: Final[tuple[Row, ...]] = (
    _row("sync", "str", "hit of a decorated function, one str", _ONE),
    _row("sync", "three", "hit of a decorated function, (int, int, flag=True)", _THREE),
    _row("async", "str", "await of a decorated coroutine function, hit, one str", _ONE),
    _row("async", "three", "the same with (int, int, flag=True)", _THREE),
)
