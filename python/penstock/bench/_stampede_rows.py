"""Concurrent misses of one key: how many loads they cause, and what each waiter costs."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Final, cast

from penstock.bench._cached_rows import decorated
from penstock.bench._engine import gc_off
from penstock.bench._model import BenchError, Contender, Outcome, Plan, Result, Row
from penstock.bench._subjects import each

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["STAMPEDE_ROWS"]

_STORMS: Final = 5
_TIMEOUT: Final = 30.0
_TURNS: Final = 100
_THREADS: Final = 64
_ARRIVAL: Final = 0.1

_ASYNC: Final = """\
async def f(key):
    loads.append(key)
    await gate.wait()
    return key
"""
_SYNC: Final = _ASYNC.replace("async ", "").replace("await ", "")


async def _storm(
    f: Callable[[str], Awaitable[object]],
    gate: asyncio.Event,
    key: str,
    plan: Plan,
) -> float:
    """Miss *key* from all waiters at once; return the microseconds per waiter."""

    # Wrapped for all alike: some contenders return what create_task refuses.
    async def call() -> object:
        return await f(key)

    begin = plan.clock()
    tasks = [asyncio.create_task(call()) for _ in range(plan.waiters)]
    for _ in range(_TURNS):  # every waiter gets as far as it can before the first load ends
        await asyncio.sleep(0)
    gate.set()
    found = await asyncio.wait_for(asyncio.gather(*tasks), _TIMEOUT)
    spent = plan.clock() - begin
    if found != [key] * plan.waiters:
        msg = "a waiter got another value"
        raise BenchError(msg)
    return spent / plan.waiters / 1_000


def _measure_async(row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome) -> None:
    loads: dict[str, list[float]] = {}
    cost: dict[str, list[float]] = {}

    async def storms(contender: Contender) -> None:
        seen: list[str] = []
        gate = asyncio.Event()
        f = decorated(contender, _ASYNC, loads=seen, gate=gate)
        call = cast("Callable[[str], Awaitable[object]]", f)
        most = 0
        micros: list[float] = []
        for number in range(_STORMS):
            seen.clear()
            gate.clear()
            micros.append(await _storm(call, gate, f"key:{number}", plan))
            most = max(most, len(seen))
        loads[contender.name] = [float(most)]
        cost[contender.name] = micros

    with gc_off():
        each(contenders, row, outcome, lambda contender: asyncio.run(storms(contender)))
    table = f"stampede: {plan.waiters:,} concurrent misses of one key"
    outcome.results.append(Result(f"{row.name}.loads", table, "loads", "", loads, digits=0))
    outcome.results.append(Result(f"{row.name}.cost", table, "per waiter", "us", cost))


def _measure_threads(
    row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome
) -> None:
    loads: dict[str, list[float]] = {}

    def storm(contender: Contender) -> None:
        seen: list[str] = []
        found: list[object] = []
        gate = threading.Event()
        f = decorated(contender, _SYNC, loads=seen, gate=gate)
        call = cast("Callable[[str], object]", f)
        threads = [
            threading.Thread(target=lambda: found.append(call("key")), daemon=True)
            for _ in range(_THREADS)
        ]
        for thread in threads:
            thread.start()
        time.sleep(_ARRIVAL)
        gate.set()
        for thread in threads:
            thread.join(_TIMEOUT)
        if found != ["key"] * _THREADS:
            msg = f"{len(found)} of {_THREADS} threads got the value"
            raise BenchError(msg)
        loads[contender.name] = [float(len(seen))]

    each(contenders, row, outcome, storm)
    table = f"stampede: {_THREADS} threads miss one key"
    outcome.results.append(Result(row.name, table, "loads", "", loads, digits=0))


STAMPEDE_ROWS: Final[tuple[Row, ...]] = (
    Row("stampede", "stampede", "loads made by concurrent misses, coroutines", _measure_async),
    Row(
        "stampede.threads",
        "stampede-threads",
        "loads made by concurrent misses, threads",
        _measure_threads,
    ),
)
