"""
The figures penstock claims, as ratios within one run: figure, goal, measured, met yes or no.

Rows, engine, penstock and the standard library live in ``penstock.bench``, peers in ``peers.py``;
run as a script, it measures only the rows that a goal needs.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from goal import Goal, ratio, value, worst
from goals_tiers import TIERS_GOALS
from peers import PEERS
from penstock.bench import Outcome, Result, Verdict, main

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["GOALS", "judge"]

_CACHE: Final = "penstock Cache"
_TTL: Final = "penstock Cache, TTL"
_CACHED: Final = "penstock cached"
_PLAIN: Final = "plain async def, no cache"
_METRICS: Final = "penstock metrics"
_PROMETHEUS: Final = "prometheus_client"
_LIMITER: Final = "penstock Limiter"
_EXECUTOR: Final = "penstock Executor"
_THREAD_POOL: Final = "ThreadPoolExecutor"
_BATCHER: Final = "penstock Batcher"
_RECORDER: Final = "penstock Recorder"
_SQLITE: Final = "penstock SqlitePool"


def _faster(claim: str, row: str, limit: float) -> Goal:
    """Return the goal of a row of metrics: how many times longer prometheus_client takes."""
    measure = ratio(_PROMETHEUS, _METRICS)
    return Goal(f"{claim}, {_PROMETHEUS} / penstock", row, measure, limit, at_least=True)


def _fastest_peer(result: Result) -> list[float]:
    """How many times longer the fastest peer takes."""
    peers = [p.name for p in PEERS if p.name in result.samples]
    if not peers:
        raise KeyError(result.name)
    fastest = min(peers, key=result.median)
    return result.ratios(fastest, _CACHED)


def _batching() -> Iterator[Goal]:
    """Yield the goals of batches."""
    for peer, limit in (("aiodataloader", 1.0), ("async-batcher", 0.3)):
        measure = ratio(_BATCHER, peer)
        yield Goal(f"Batcher, 1,000 gathered submits / {peer}", "batching.submit", measure, limit)
    yield Goal(
        "Loader, 1,000 gathered loads / aiodataloader",
        "batching.load",
        ratio("penstock Loader", "aiodataloader"),
        1.0,
    )
    yield Goal(
        "Batcher.put_nowait / deque.append",
        "batching.put",
        ratio(_BATCHER, "deque.append"),
        3,
    )
    yield Goal(
        "wake-ups of a busy loop by a burst from 4 threads",
        "batching.wakeups",
        worst(_BATCHER),
        1,
        "",
    )
    yield Goal(
        "1,000 messages into SQLite, one commit for each / Batcher",
        "batching.sqlite",
        ratio("one commit for each", _BATCHER),
        5,
        at_least=True,
    )


def _files() -> Iterator[Goal]:
    """Yield the goals of files."""
    yield Goal(
        "disk writes by 1,000 writes of a file in a window",
        "files.touched",
        worst("penstock FileWriter"),
        1,
        "",
    )
    for parser in ("json", "orjson"):
        name = f"FileCache hit / reading 10 KB and {parser}.loads"
        measure = ratio("penstock FileCache", f"read and {parser}.loads")
        yield Goal(name, "files.get", measure, 0.05)


def _limits() -> Iterator[Goal]:
    """Yield the goals of the limits that adapt: deterministic, the service is simulated."""
    for policy in ("aimd(0.2)", "gradient()"):
        ours = f"penstock {policy}"
        fixed = ratio(ours, "best fixed limit")
        yield Goal(
            f"{policy}: throughput / best fixed limit", "limits.well", fixed, 0.9, at_least=True
        )
        yield Goal(f"{policy}: p95 / best fixed limit", "limits.well-p95", fixed, 1.5)
        yield Goal(
            f"{policy}: throughput / fixed limit of 50, service slowed to a third",
            "limits.slow",
            ratio(ours, "fixed limit of 50"),
            1.2,
            at_least=True,
        )


GOALS: Final[tuple[Goal, ...]] = (
    Goal("Cache.get hit / dict.get", "cache.get-hit", ratio(_CACHE, "dict"), 1.3),
    Goal(
        "Cache.get hit / cachebox LRUCache",
        "cache.get-hit",
        ratio(_CACHE, "cachebox LRUCache"),
        0.9,
    ),
    Goal("Cache.get hit, with a TTL / without", "cache.get-hit", ratio(_TTL, _CACHE), 1.25),
    Goal(
        "Cache.get hit with a TTL / cachebox TTLCache",
        "cache.get-hit",
        ratio(_TTL, "cachebox TTLCache"),
        0.65,
    ),
    Goal(
        "set new + evict / cachebox LRUCache",
        "cache.set-new",
        ratio(_CACHE, "cachebox LRUCache"),
        1.0,
    ),
    Goal("memory, LRU", "memory.int", value(_CACHE), 50, "B/entry"),
    Goal("memory, LRU with a TTL", "memory.int", value(_TTL), 60, "B/entry"),
    Goal(
        "cached f(str) hit / functools.lru_cache",
        "cached.sync.str",
        ratio(_CACHED, "functools.lru_cache"),
        0.9,
    ),
    Goal(
        "cached f(int, int, flag=True) hit / functools.lru_cache",
        "cached.sync.three",
        ratio(_CACHED, "functools.lru_cache"),
        0.7,
    ),
    Goal(
        "await of a cached hit / of a trivial async def",
        "cached.async.str",
        ratio(_CACHED, _PLAIN),
        0.8,
    ),
    Goal(
        "fastest peer / await of a cached hit", "cached.async.str", _fastest_peer, 6, at_least=True
    ),
    Goal(
        "the same with three arguments / trivial async def",
        "cached.async.three",
        ratio(_CACHED, _PLAIN),
        0.8,
    ),
    Goal(
        "the same with three arguments, fastest peer / cached",
        "cached.async.three",
        _fastest_peer,
        6,
        at_least=True,
    ),
    Goal("loads of 1,000 concurrent misses", "stampede.loads", value(_CACHED), 1, ""),
    Goal("loads of 64 threads missing at once", "stampede.threads", value(_CACHED), 1, ""),
    _faster("Counter.inc()", "metrics.inc", 10),
    _faster("inc() of a cached child", "metrics.child", 10),
    _faster("labels(...).inc()", "metrics.labels", 14),
    _faster("labels(...).inc() by name", "metrics.labels-kw", 14),
    _faster("Histogram.observe", "metrics.observe", 12),
    _faster("with h.time()", "metrics.time", 6),
    _faster("scrape of 1,000 counters + 100 histograms", "scrape.page", 25),
    Goal(
        "event loop held by any scrape of 2,000 histograms, also with gzip",
        "scrape.loop",
        worst(_METRICS, f"{_METRICS}, gzip"),
        5,
        "ms",
    ),
    *(
        Goal(
            f"middleware above the bare application, {title}",
            f"middleware.{row}",
            value("penstock ASGIMiddleware"),
            5,
            "us",
        )
        for row, title in (
            ("starlette-5", "Starlette, 5 routes"),
            ("starlette-100", "Starlette, 100 routes"),
            ("fastapi-5", "FastAPI, 5 routes"),
            ("fastapi-100", "FastAPI, 100 routes"),
        )
    ),
    Goal(
        "counter series, labels shared with the caller",
        "metrics.memory-shared",
        value(_METRICS),
        250,
        "B/series",
    ),
    Goal(
        "counter series, labels of its own",
        "metrics.memory-own",
        value(_METRICS),
        250,
        "B/series",
    ),
    *_limits(),
    Goal(
        "async with limiter, nobody waits / asyncio.Semaphore",
        "flow.enter",
        ratio(_LIMITER, "asyncio.Semaphore"),
        0.25,
    ),
    Goal(
        "async with limiter, nobody waits / aiolimiter",
        "flow.enter",
        ratio(_LIMITER, "aiolimiter"),
        0.15,
    ),
    Goal(
        "retry of a first-try success, tenacity / penstock",
        "flow.retry",
        ratio("tenacity", "penstock retry"),
        50,
        at_least=True,
    ),
    Goal(
        "retry of a first-try success, stamina / penstock",
        "flow.retry",
        ratio("stamina", "penstock retry"),
        40,
        at_least=True,
    ),
    *(
        Goal(
            f"circuit breaker, closed, above the bare call, {form}",
            "flow.breaker",
            value(f"penstock CircuitBreaker, {form}"),
            150,
            "ns",
        )
        for form in ("block", "decorator")
    ),
    Goal(
        "500 items of 1 ms, one after another / map_concurrent",
        "flow.map",
        ratio("one after another", "penstock map_concurrent"),
        45,
        at_least=True,
    ),
    *(
        Goal(f"{claim} / {_THREAD_POOL}", row, ratio(_EXECUTOR, _THREAD_POOL), limit)
        for claim, row, limit in (
            ("Executor, submit + result", "executor.submit", 0.7),
            ("Executor, 10,000 no-ops, per task", "executor.burst", 0.5),
            ("await executor.run", "executor.run", 0.6),
        )
    ),
    Goal(
        "Executor, 100 tasks that sleep 50 ms on 8 workers, ideal time / time",
        "executor.sleep",
        value(_EXECUTOR),
        0.93,
        at_least=True,
    ),
    *_batching(),
    Goal("point read, SqlitePool / aiosqlite", "sqlite.read", ratio(_SQLITE, "aiosqlite"), 0.3),
    Goal(
        "50 tasks reading, SqlitePool / aiosqlite",
        "sqlite.reads",
        ratio(_SQLITE, "aiosqlite"),
        2.5,
        at_least=True,
    ),
    Goal(
        "50 tasks awaiting each row, Recorder / aiosqlite",
        "recorder.await",
        ratio(_RECORDER, "aiosqlite"),
        8,
        at_least=True,
    ),
    Goal(
        "Recorder, rows put without waiting",
        "recorder.put",
        value(_RECORDER),
        300_000,
        "rows/s",
        at_least=True,
    ),
    *_files(),
    *TIERS_GOALS,
    Goal("import penstock", "import", value("import penstock"), 20, "ms"),
)


def judge(outcome: Outcome) -> list[Verdict]:
    """Hold every goal whose row was measured against *outcome*."""
    found = ((goal, outcome.find(goal.row)) for goal in GOALS)
    return [goal.verdict(result) for goal, result in found if result is not None]


if __name__ == "__main__":
    needed = list(dict.fromkeys(goal.row.removesuffix(".loads") for goal in GOALS))
    sys.exit(main(["--only", *needed, *sys.argv[1:]], peers=PEERS, judge=judge, prog="goals.py"))
