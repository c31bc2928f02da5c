"""Caches in tiers: what a hit in memory takes, and what SQLite and Redis together get done."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from penstock.bench._crowds import Operation
from penstock.bench._engine import AsyncRunner, Runner, SyncRunner, compile_loop, interleave
from penstock.bench._flow_rows import in_loop, prepared
from penstock.bench._model import Outcome, Plan, Result, Row
from penstock.bench._redis_rows import over_redis
from penstock.bench._subjects import each
from penstock.bench._tiers_contenders import TIERS_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from penstock.bench._model import Contender

__all__ = ["TIERS_ROWS"]

_CALLS_PER_PASS: Final = 1_000
#: What is looked at after each hit.
_CHECK: Final = "\nassert found == 17, f'{found!r} was read'"


def _measure(
    op: str,
    title: str,
    row: Row,
    contenders: Sequence[Contender],
    plan: Plan,
    outcome: Outcome,
) -> None:
    """Measure hits in memory."""
    runners: dict[str, Runner] = {}
    keys: list[object] = list(range(_CALLS_PER_PASS))
    with in_loop() as event_loop, ExitStack() as stack:

        def prepare(contender: Contender) -> None:
            made = prepared(contender, event_loop, seconds=0)
            if "end" in made:
                end = cast("Callable[[], Coroutine[None, None, object]]", made["end"])
                stack.callback(lambda: event_loop.run_until_complete(end()))
            loop = compile_loop(
                contender.ops[op] + _CHECK,
                {"key": TIERS_KEY, "load": made.get("load")},
                bind=contender.bind,
                coroutine=True,
            )
            runner = AsyncRunner(SyncRunner(loop, made["c"], keys, plan.clock), event_loop)
            runner(1)
            runners[contender.name] = runner

        each([c for c in contenders if op in c.ops], row, outcome, prepare)
        samples = interleave(runners, rounds=plan.rounds, round_ns=plan.round_ns)
    outcome.results.append(Result(row.name, "caches in tiers: hit in memory", title, "ns", samples))


TIERS_ROWS: Final[tuple[Row, ...]] = (
    Row(
        "tiers.get",
        "tiers",
        "a value got that is in memory",
        partial(_measure, "get", "await get(key)"),
    ),
    Row(
        "tiers.load",
        "tiers",
        "a value that is in memory, which would be loaded otherwise",
        partial(_measure, "load", "await get_or_load(key, loader)"),
    ),
    Row(
        "hybrid.save",
        "hybrid",
        "values saved in SQLite and Redis, by many tasks at once",
        partial(over_redis, Operation("set", "save, SQLite and Redis, 50 tasks", crowd=True)),
    ),
    Row(
        "hybrid.read",
        "hybrid",
        "values read from Redis in front of SQLite, by many tasks at once",
        partial(over_redis, Operation("get", "read, SQLite and Redis, 50 tasks", crowd=True)),
    ),
)
