"""Two processes with a cache each: how long one has in memory what the other has invalidated."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import cache
from itertools import count
from time import monotonic_ns
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from penstock.bench._crowds import contest
from penstock.bench._engine import gc_off
from penstock.bench._memory_rows import child_environment
from penstock.bench._model import Contender, Outcome, Plan, Result, Row
from penstock.bench._redis_server import redis_server
from penstock.bench._spans import in_turn, quantile
from penstock.bench._subjects import each

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    _Tell: TypeAlias = Callable[[str], Awaitable[object]]

__all__ = ["TOLD_ROWS"]

#: How many keys are invalidated for each round.
_KEYS: Final = 8
_MS: Final = 1e6
#: Seconds that anything may take.
_PATIENCE: Final = 20.0
_TABLE: Final = "caches in tiers, two processes: from a delete in one until the other has noticed"


def _seen(key: str) -> None:
    """It is of interest in the other process."""


class _Pair:
    """What one process does with a key, and when the other one notices."""

    def __init__(self, child: Process, tell: _Tell) -> None:
        self._child = child
        self._tell = tell
        self._numbers = count()

    async def time(self) -> float:
        """Have the other process keep a key, and return the milliseconds until it knows better."""
        key = f"user:{next(self._numbers)}"
        async with asyncio.timeout(_PATIENCE):
            assert self._child.stdin is not None
            self._child.stdin.write(f"{key}\n".encode())
            while await self._line():
                pass  # what left its memory while it kept the key
            begin = monotonic_ns()
            await self._tell(key)
            while True:
                gone, at = (await self._line()).split()
                if gone == key and int(at) > begin:
                    return (int(at) - begin) / _MS

    async def _line(self) -> str:
        assert self._child.stdout is not None
        line = await self._child.stdout.readline()
        if not line:
            assert self._child.stderr is not None
            last = (await self._child.stderr.read()).decode().strip().splitlines()[-1:]
            raise RuntimeError(*last or ["its process has ended"])
        return line.decode().strip()


@asynccontextmanager
async def _child(contender: Contender, given: dict[str, str]) -> AsyncIterator[Process]:
    """Run another process with the same contender."""
    command = [sys.executable, "-m", "penstock.bench._told_child"]
    environment = child_environment(contender.backend)
    child = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment
    )
    assert child.stdin is not None
    ours = contender.backend is not None
    asked = {"make": contender.make, "given": given, "penstock": ours}
    child.stdin.write(json.dumps(asked).encode() + b"\n")
    try:
        yield child
    finally:
        child.stdin.close()  # the end of its input is the end of its work
        try:
            await asyncio.wait_for(child.communicate(), _PATIENCE)
        except TimeoutError:
            child.kill()
            await child.wait()


async def _all(pairs: dict[str, _Pair], times: int) -> dict[str, list[float]]:
    spans: dict[str, list[float]] = {name: [] for name in pairs}
    for name in in_turn(pairs, times):
        spans[name].append(await pairs[name].time())
    return spans


def _measure(row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome) -> None:
    pairs: dict[str, _Pair] = {}
    numbers = count()
    with ExitStack() as servers, contest(plan) as those:
        run = those.event_loop.run_until_complete
        children = AsyncExitStack()
        those.stack.callback(lambda: run(children.aclose()))

        @cache  # it is started for the first of those who need it
        def url() -> str:
            return servers.enter_context(redis_server()).url

        def prepare(contender: Contender) -> None:
            given = {"url": url(), "name": f"bench{next(numbers)}"}
            started = those.start(contender, **given, seen=_seen)
            child = run(children.enter_async_context(_child(contender, given)))
            _, tell = cast("tuple[object, _Tell]", started.subject)
            pair = _Pair(child, tell)
            run(pair.time())
            pairs[contender.name] = pair

        each(contenders, row, outcome, prepare)
        with gc_off():
            spans = run(_all(pairs, plan.rounds * _KEYS))
    late = {name: [quantile(found, 0.99)] for name, found in spans.items()}
    outcome.results += [
        Result(row.name, _TABLE, "p99", "ms", late, digits=2, steady=False),
        Result(f"{row.name}.median", _TABLE, "median", "ms", spans, digits=2, steady=False),
    ]


TOLD_ROWS: Final[tuple[Row, ...]] = (
    Row(
        "tiers.told",
        "told",
        "from the delete of a key until it has left the memory of another process",
        _measure,
    ),
)
