"""A Redis that is frozen behind a cache: what calls take that find nothing in memory."""

from __future__ import annotations

import asyncio
import logging
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from itertools import count
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from penstock.bench._crowds import contest
from penstock.bench._engine import gc_off
from penstock.bench._model import BenchError, Contender, Outcome, Plan, Result, Row
from penstock.bench._redis_server import RedisServer, redis_server
from penstock.bench._spans import in_turn, quantile
from penstock.bench._subjects import each

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    _Load: TypeAlias = Callable[[str], Awaitable[str]]
    #: What is called, and whether it still asks Redis.
    _Subject: TypeAlias = tuple[Callable[[str, _Load], Awaitable[object]], Callable[[], bool]]
    _Spans: TypeAlias = dict[str, list[float]]

__all__ = ["FROZEN_ROWS"]

#: Seconds that Redis may take where that is of interest, and elsewhere; and that the loader takes.
_TIMEOUT: Final = 0.1
_SHORT: Final = 0.02
_LOAD: Final = 0.001
#: Redis is frozen once in so many rounds; calls are made by each contender for each of these.
_ROUNDS: Final = 8
_CALLS: Final = 5
#: After so many calls a circuit breaker is open, or there is none.
_MOST: Final = 20
_MS: Final = 1e6
_TABLE: Final = f"caches in tiers, Redis frozen: a load of {_LOAD * 1e3:.0f} ms"


async def _load(key: str) -> str:
    await asyncio.sleep(_LOAD)
    return f"value of {key}"


class _Calls:
    """The calls of a contender, each with a key of its own."""

    def __init__(self, subject: _Subject, clock: Callable[[], int]) -> None:
        self._call, self._asks_redis = subject
        self._clock = clock
        self._numbers = count()

    async def time(self) -> float:
        """Return the milliseconds of one."""
        key = f"user:{next(self._numbers)}"
        begin = self._clock()
        found = await self._call(key, _load)
        spent = self._clock() - begin
        if found != f"value of {key}":
            msg = f"{found!r} was found"
            raise BenchError(msg)
        return spent / _MS

    async def first(self) -> list[float]:
        """Return those of all until Redis is not asked any more."""
        spans: list[float] = []
        while self._asks_redis():
            spans.append(await self.time())
            if len(spans) > _MOST:
                msg = f"{_MOST} calls waited for a Redis that is frozen"
                raise BenchError(msg)
        return spans


async def _first_of(calls: dict[str, _Calls]) -> _Spans:
    """Time the first calls of all, who wait at the same time."""
    return dict(zip(calls, await asyncio.gather(*(c.first() for c in calls.values())), strict=True))


async def _next_of(calls: dict[str, _Calls], times: int) -> _Spans:
    """Time as many calls of each, one after another."""
    spans: _Spans = {name: [] for name in calls}
    for name in in_turn(calls, times):
        spans[name].append(await calls[name].time())
    return spans


@contextmanager
def _quiet() -> Iterator[None]:
    """Let nobody say that Redis is left alone: it is what the rows are about."""
    logger = logging.getLogger("penstock.caching")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


class _Freezer:
    """A Redis that is frozen again and again, each time behind caches that have just begun."""

    def __init__(
        self, row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome
    ) -> None:
        self._prepare = partial(each, contenders, row, outcome)
        self._plan = plan
        self._numbers = count()

    def freeze(self, timeout: float, times: int) -> Iterator[tuple[_Spans, _Spans]]:
        """Yield the first calls of each time, and *times* calls of each contender after those."""
        with ExitStack() as stack, _quiet():

            @cache  # it is started for the first of those who need it
            def server() -> RedisServer:
                return stack.enter_context(redis_server())

            for _ in range(max(1, self._plan.rounds // _ROUNDS)):
                yield self._once(server, timeout, times)

    def _once(
        self, server: Callable[[], RedisServer], timeout: float, times: int
    ) -> tuple[_Spans, _Spans]:
        calls: dict[str, _Calls] = {}
        with contest(self._plan) as those:

            def start(contender: Contender) -> None:
                given = {"url": server().url, "name": f"bench{next(self._numbers)}"}
                subject = those.start(contender, **given, timeout=timeout).subject
                calls[contender.name] = _Calls(cast("_Subject", subject), self._plan.clock)

            self._prepare(start)
            if not calls:
                return {}, {}
            run = those.event_loop.run_until_complete
            with server().frozen(), gc_off():
                return run(_first_of(calls)), run(_next_of(calls, times))


def _first(row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome) -> None:
    longest: _Spans = {}
    for first, _ in _Freezer(row, contenders, plan, outcome).freeze(_TIMEOUT, 0):
        for name, spans in first.items():
            if spans:
                longest.setdefault(name, []).append(max(spans))
    title = f"longest of the first, {_TIMEOUT * 1e3:.0f} ms for Redis"
    outcome.results.append(Result(row.name, _TABLE, title, "ms", longest, digits=2, steady=False))


def _open(row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome) -> None:
    median: _Spans = {}
    late: _Spans = {}
    for _, rest in _Freezer(row, contenders, plan, outcome).freeze(_SHORT, plan.rounds * _CALLS):
        for name, spans in rest.items():
            median.setdefault(name, []).append(quantile(spans, 0.5))
            late.setdefault(name, []).append(quantile(spans, 0.99))
    names = row.name, f"{row.name}.median"
    titles = "circuit breaker open, p99", "median"
    outcome.results += [
        Result(name, _TABLE, title, "ms", spans, digits=2, steady=False)
        for name, title, spans in zip(names, titles, (late, median), strict=True)
    ]


FROZEN_ROWS: Final[tuple[Row, ...]] = (
    Row(
        "tiers.frozen",
        "frozen",
        "a value that is loaded while Redis is frozen, as long as it is asked first",
        _first,
    ),
    Row(
        "tiers.open",
        "frozen",
        "a value that is loaded while Redis is frozen, once the circuit breaker is open",
        _open,
    ),
)
