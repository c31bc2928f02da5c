"""What type checkers make of functions in a cache in tiers, of warm-ups and of snapshots."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import assert_type

from penstock import TieredCache, warmup
from penstock.caching import FunctionStats, TieredFunction, WarmupReport, tiered_caches

cache = TieredCache(ttl=60)


@cache.cached
async def plain(number: int, *, flag: bool = False) -> str:
    return str(number)


@cache.cached(ttl=5, tags=["n:{number}"], key=lambda number, flag=False: number, prefix="p")
async def with_options(number: int, *, flag: bool = False) -> str:
    return str(number)


async def functions() -> None:
    for function in (plain, with_options):
        assert_type(await function(1), str)
        assert_type(await function(1, flag=True), str)
        assert_type(await asyncio.create_task(function(1)), str)
        assert_type(await asyncio.gather(function(1), function(2)), tuple[str, str])
        assert_type(await function.refresh(1), str)
        assert_type(function.invalidate(1), Awaitable[bool])
        assert_type(await function.invalidate_all(), bool)
        assert_type(function.key(1), str)
        assert_type(function.stats(), FunctionStats)
        assert_type(function.stats().saved_seconds, float)
        assert_type(await function.__wrapped__(1), str)
        assert_type(function.enabled, bool)
        function.enable()
        function.disable()
    await plain("1")  # type: ignore[arg-type]
    await plain()  # type: ignore[call-arg]
    plain.invalidate("1")  # type: ignore[arg-type]
    cache.cached(tll=5)  # type: ignore[call-overload]


class Service:
    @cache.cached
    async def load(self, number: int) -> str:
        return str(number)

    @staticmethod
    @cache.cached
    async def of_nobody(number: int) -> str:
        return str(number)


async def methods(service: Service) -> None:
    assert_type(await service.load(1), str)
    assert_type(await service.load.refresh(1), str)
    assert_type(service.load.key(1), str)
    assert_type(await service.load.invalidate(1), bool)
    assert_type(await Service.load(service, 1), str)
    assert_type(Service.load.stats(), FunctionStats)
    assert_type(await Service.of_nobody(1), str)
    await service.load("1")  # type: ignore[arg-type]


def takes_a_function(function: TieredFunction[[int], str]) -> None: ...


async def others(path: Path) -> None:
    report = await warmup({"a": lambda: plain(1)}, timeout=5, on_error="raise")
    assert_type(report, WarmupReport)
    assert_type(report.failed["a"], Exception)
    assert_type(await cache.warmup(["a"], str.upper, background=True), WarmupReport)
    assert_type(await cache.save(path, limit=5), int)
    assert_type(await cache.restore(str(path), secret=b""), int)
    assert_type(tiered_caches({"a": {"ttl": 5}}), dict[str, TieredCache])
