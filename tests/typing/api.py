"""What type checkers make of the public API; checked by mypy and pyright, never run."""

from __future__ import annotations

import asyncio
from collections.abc import (
    Callable,
    Coroutine,
    Hashable,
    ItemsView,
    Iterator,
    KeysView,
    MutableMapping,
)
from datetime import timedelta
from typing import Any, Literal, assert_type

from starlette.applications import Starlette

import penstock
from penstock import BACKEND, Cache, CacheStats, PenstockError, RecursiveLoad, cached
from penstock.caching import CachedCoroutineFunction, CachedFunction
from penstock.metrics import (
    ASGIMiddleware,
    Counter,
    Histogram,
    generate_latest,
    instrument,
    make_asgi_app,
    track,
)


def lookups(cache: Cache[str, int]) -> None:
    assert_type(cache["a"], int)
    assert_type(cache.get("a"), int | None)
    assert_type(cache.get("a", None), int | None)
    assert_type(cache.get("a", 0), int)
    assert_type(cache.get("a", "none"), int | str)
    assert_type(cache.peek("a"), int | None)
    assert_type(cache.peek("a", 0), int)
    assert_type(cache.peek("a", b""), int | bytes)
    assert_type("a" in cache, bool)
    assert_type(cache.get_many(["a", "b"]), dict[str, int])
    assert_type(cache.ttl_of("a"), float | None)
    assert_type(cache.touch("a", ttl=timedelta(hours=1)), bool)
    assert_type(len(cache), int)


def writes(cache: Cache[str, int]) -> None:
    cache["a"] = 1
    cache.set("a", 1)
    cache.set("a", 1, ttl=None)
    cache.set("a", 1, ttl=2.5)
    cache.set_many({"a": 1}, ttl=timedelta(minutes=1))
    cache.set_many([("a", 1), ("b", 2)])
    cache.update({"a": 1})
    cache.update([("a", 1)], b=2)
    del cache["a"]
    assert_type(cache.setdefault("a", 1), int)
    assert_type(cache.pop("a"), int)
    assert_type(cache.pop("a", 0), int)
    assert_type(cache.pop("a", None), int | None)
    assert_type(cache.popitem(), tuple[str, int])
    assert_type(cache.get_or_load("a", len), int)
    assert_type(cache.get_or_load("a", lambda key: len(key) + 1, ttl=3), int)
    assert_type(cache.expire(), int)
    cache.resize(None)
    cache.clear()
    cache.reset_stats()


def wrong_uses(cache: Cache[str, int]) -> None:
    cache[1] = 1  # type: ignore[index]
    cache["a"] = "one"  # type: ignore[assignment]
    cache.get(1)  # type: ignore[call-overload]
    cache.set("a", "one")  # type: ignore[arg-type]
    cache.set("a", 1, 60)  # type: ignore[call-arg]
    cache.set("a", 1, ttl="60")  # type: ignore[arg-type]
    cache.get_or_load("a", lambda key: key)  # type: ignore[arg-type, return-value]
    cache.nonsense()  # type: ignore[attr-defined]
    cache.maxsize = 5  # type: ignore[misc]
    Cache(10, 60)  # type: ignore[call-arg]
    Cache(10, maxage=60)  # type: ignore[call-arg]


def whole_cache(cache: Cache[str, int]) -> None:
    assert_type(iter(cache), Iterator[str])
    assert_type(list(cache), list[str])
    assert_type(cache.keys(), KeysView[str])
    assert_type(cache.items(), ItemsView[str, int])
    assert_type(dict(cache.items()), dict[str, int])
    assert_type(cache.stats(), CacheStats)
    assert_type(cache.stats().hit_ratio, float)
    assert_type(cache.stats().maxsize, int | None)
    assert_type(cache.maxsize, int | None)
    assert_type(cache.ttl, float | None)
    assert_type(cache.name, str | None)
    mapping: MutableMapping[str, int] = cache
    assert_type(mapping["a"], int)


def on_evict(key: str, value: int, cause: str) -> None: ...


def construction() -> None:
    made: Cache[str, int] = Cache(
        10,
        ttl=60,
        tti=timedelta(minutes=1),
        policy="lru",
        weigher=lambda key, value: len(key) + value,
        on_evict=on_evict,
        jitter=0.1,
        timer=lambda: 0.0,
        name="users",
    )
    lookups(made)
    unbounded: Cache[Hashable, object] = Cache(None)
    assert_type(unbounded.get("a"), object | None)
    assert_type(CacheStats(hits=1, misses=1).hit_ratio, float)


@cached
def plain(number: int, *, flag: bool = False) -> str:
    return str(number)


@cached(maxsize=10, ttl=60, stale=30, name="users")
def with_options(number: int, *, flag: bool = False) -> str:
    return str(number)


@cached
async def later(number: int, *, flag: bool = False) -> str:
    return str(number)


@cached(ttl=timedelta(minutes=1), key=lambda number, flag=False: number)
async def later_with_options(number: int, *, flag: bool = False) -> str:
    return str(number)


def functions() -> None:
    for function in (plain, with_options):
        assert_type(function(1), str)
        assert_type(function(1, flag=True), str)
        assert_type(function.refresh(1, flag=True), str)
        assert_type(function.invalidate(1), bool)
        assert_type(function.cache_parameters(), dict[str, object])
        assert_type(function.cache_info().hits, int)
        assert_type(function.cache_info().maxsize, int | None)
        assert_type(function.stats(), CacheStats)
        assert_type(function.cache, Cache[Hashable, object])
        assert_type(function.make_key(1), Hashable)
        assert_type(function.__wrapped__(1), str)
        assert_type(function.__name__, str)
        function.cache_clear()
    plain("1")  # type: ignore[arg-type]
    plain(1, True)  # type: ignore[call-arg]
    plain(1, flags=True)  # type: ignore[call-arg]
    plain()  # type: ignore[call-arg]
    plain.invalidate("1")  # type: ignore[arg-type]
    plain.refresh()  # type: ignore[call-arg]
    plain.nonsense()  # type: ignore[attr-defined]


async def coroutine_functions() -> None:
    for function in (later, later_with_options):
        assert_type(await function(1), str)
        assert_type(await function(1, flag=True), str)
        assert_type(await function.refresh(1), str)
        assert_type(await asyncio.create_task(function(1)), str)
        assert_type(await asyncio.gather(function(1), function(2)), tuple[str, str])
        assert_type(await asyncio.wait_for(function(1), 1), str)
        assert_type(await asyncio.shield(function(1)), str)
        assert_type(function.invalidate(1), bool)
        assert_type(function.stats(), CacheStats)
        function.cache_clear()
        async with asyncio.TaskGroup() as group:
            assert_type(group.create_task(function(1)), asyncio.Task[str])
    await later("1")  # type: ignore[arg-type]
    await later.refresh()  # type: ignore[call-arg]
    number: int = await later(1)  # type: ignore[assignment]
    assert number


def main_coroutines() -> None:
    assert_type(asyncio.run(later(1)), str)


class Service:
    @cached
    def plain(self, number: int, *, flag: bool = False) -> str:
        return str(number)

    @cached(maxsize=10)
    def with_options(self, number: int, *, flag: bool = False) -> str:
        return str(number)

    @cached
    async def later(self, number: int, *, flag: bool = False) -> str:
        return str(number)

    @cached(maxsize=10)
    async def later_with_options(self, number: int, *, flag: bool = False) -> str:
        return str(number)

    @staticmethod
    @cached
    def of_nobody(number: int) -> str:
        return str(number)


def methods(service: Service) -> None:
    assert_type(service.plain(1), str)
    assert_type(service.plain(1, flag=True), str)
    assert_type(service.plain.invalidate(1), bool)
    assert_type(service.plain.refresh(1), str)
    assert_type(service.with_options(1), str)
    assert_type(Service.plain(service, 1), str)
    assert_type(Service.plain.invalidate(service, 1), bool)
    assert_type(Service.plain.stats(), CacheStats)
    assert_type(Service.of_nobody(1), str)
    service.plain("1")  # type: ignore[arg-type]
    service.plain()  # type: ignore[call-arg]
    service.plain.invalidate("1")  # type: ignore[arg-type]


async def coroutine_methods(service: Service) -> None:
    assert_type(await service.later(1), str)
    assert_type(await service.later_with_options(1, flag=True), str)
    assert_type(await service.later.refresh(1), str)
    assert_type(service.later.invalidate(1), bool)
    assert_type(await Service.later(service, 1), str)
    assert_type(await asyncio.create_task(service.later(1)), str)
    await service.later("1")  # type: ignore[arg-type]


def protocols() -> None:
    function: CachedFunction[[int], str] = cached(lambda number: f"{number}")
    assert_type(function(1), str)
    takes_a_function(plain)
    takes_a_coroutine_function(later)


def takes_a_function(function: Callable[[int], str]) -> CachedFunction[[int], str]:
    return cached(maxsize=None)(function)


def takes_a_coroutine_function(
    function: Callable[[int], Coroutine[Any, Any, str]],
) -> CachedCoroutineFunction[[int], str]:
    return cached(function)


def options(cache: Cache[Any, Any]) -> None:
    cached(cache=cache, ttl=5)
    cached(None)
    cached(5, tti=timedelta(seconds=1), jitter=0.5, weigher=lambda key, value: 1)
    cached(typed=True, on_evict=lambda key, value, cause: None, timer=lambda: 0.0)
    cached(5, 60)  # type: ignore[call-overload]
    cached(size=5)  # type: ignore[call-overload]
    cached("5")  # type: ignore[call-overload]


def module() -> None:
    assert_type(penstock.__version__, str)
    assert_type(penstock.build_info(), dict[str, str | bool])
    backend: str = BACKEND
    assert backend
    raised: tuple[PenstockError, RuntimeError] = (RecursiveLoad("a"), RecursiveLoad("b"))
    assert len(raised) == 2
    policy: Literal["lru"] = "lru"
    Cache[str, int](1, policy=policy)


def metrics(app: Starlette) -> None:
    counter = Counter("things", "Things.", ["kind"], max_series=None)
    assert_type(counter.labels("a"), Counter)
    assert_type(counter.labels(kind="a").inc(2, exemplar={"trace": "x"}), None)
    counter.inc("1")  # type: ignore[arg-type]
    histogram = Histogram("seconds", "Time.", buckets=(0.1, 1), window=300, timer=lambda: 0.0)
    assert_type(histogram.quantile(0.99, window=60), float | None)
    assert_type(histogram.count(), int)
    with histogram.time() as timer:
        assert_type(timer.duration, float | None)
    assert_type(histogram.time()(ord), Callable[[str | bytes | bytearray], int])
    assert_type(generate_latest(), bytes)
    assert_type(track(Cache[str, int](1), "users"), Cache[str, int])
    app.add_middleware(ASGIMiddleware, exclude=["/healthz"])
    instrument(app, max_series=None)
    instrument(app, max_series="1")  # type: ignore[arg-type]
    app.mount("/metrics", make_asgi_app())
