"""What a `Loader` keeps: values, none of them without a cache, and those in a cache of yours."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator, MutableMapping
from typing import Any

import pytest
from tests.clock import Clock
from tests.keyed import HeldSource, Oops, Source
from tests.loading import settle
from tests.steps import run

from penstock import Cache, Loader

# kept


def test_a_value_is_kept() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source)
        assert await loader.load_many(["a", "b"]) == ["value of a", "value of b"]
        assert await loader.load_many(["a", "c"]) == ["value of a", "value of c"]
        assert await loader.load_many(["a", "b", "c"]) == [f"value of {key}" for key in "abc"]
        assert source.calls == [["a", "b"], ["c"]]
        assert loader.stats().hits == 4

    run(main())


def test_a_kept_value_comes_with_a_future_that_is_done() -> None:
    async def main() -> None:
        loader = Loader(Source())
        await loader.load(1)
        first, second = loader.load(1), loader.load(1)
        assert first.done()
        assert first is not second
        assert first.result() == second.result() == "value of 1"

    run(main())


def test_loaders_keep_values_apart() -> None:
    async def main() -> None:
        source = Source()
        await Loader(source).load(1)
        await Loader(source).load(1)
        assert source.calls == [[1], [1]]

    run(main())


# no cache


def test_without_a_cache_a_key_is_loaded_each_time() -> None:
    async def main() -> None:
        source = Source()
        loader = Loader(source, cache=False)
        await loader.load_many([1, 2])
        await loader.load_many([1, 3])
        assert source.calls == [[1, 2], [1, 3]]
        loader.prime(1, "primed").clear(1).clear_all()
        assert await loader.load(1) == "value of 1"
        assert loader.prime(1, "primed").load(1).done() is False
        await settle()

    run(main())


def test_without_a_cache_a_key_that_is_being_loaded_is_shared_all_the_same() -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source, cache=False)
        futures = [loader.load(1), loader.load(1)]
        await settle()
        futures.append(loader.load(1))
        source.release(1)
        assert await asyncio.gather(*futures) == ["1 1"] * 3
        assert source.calls == [[1]]

    run(main())


# a cache of yours


def test_values_are_kept_in_the_cache_that_was_given() -> None:
    async def main() -> None:
        clock = Clock()
        cache: Cache[Hashable, object] = Cache(100, ttl=60, timer=clock)
        source = Source()
        loader = Loader(source, cache=cache)
        assert await loader.load_many([1, 2]) == ["value of 1", "value of 2"]
        assert dict(cache) == {1: "value of 1", 2: "value of 2"}
        cache[3] = "put there"
        assert await loader.load_many([1, 3]) == ["value of 1", "put there"]
        clock.advance(61)
        await loader.load(1)
        assert source.calls == [[1, 2], [1]]
        loader.prime(4, "primed").prime(1, "not this").clear(3)
        assert dict(cache) == {1: "value of 1", 4: "primed"}
        loader.clear_all()
        assert len(cache) == 0

    run(main())


def test_an_empty_cache_is_a_cache() -> None:
    async def main() -> None:
        kept: dict[Hashable, object] = {}
        await Loader(Source(), cache=kept).load(1)
        assert kept == {1: "value of 1"}

    run(main())


def test_none_in_a_cache_is_a_value() -> None:
    async def main() -> None:
        source = Source({1: None})
        loader = Loader(source, cache=Cache(10))
        assert await loader.load(1) is None
        assert await loader.load(1) is None
        assert source.calls == [[1]]

    run(main())


def test_a_small_cache_bounds_what_is_kept_not_what_is_loaded() -> None:
    async def main() -> None:
        cache: Cache[Hashable, object] = Cache(2)
        loader = Loader(Source(), cache=cache)
        assert await loader.load_many(range(5)) == [f"value of {n}" for n in range(5)]
        assert len(cache) == 2

    run(main())


def test_it_is_the_bulk_loader_behind_a_cache() -> None:
    async def main() -> None:
        cache: Cache[int, object] = Cache(100)
        source = Source()
        loader: Loader[int, object] = Loader(source, cache=False)

        async def users(ids: list[int]) -> dict[int, object]:
            found = cache.get_many(ids)
            missing = [key for key in ids if key not in found]
            loaded = dict(zip(missing, await loader.load_many(missing), strict=True))
            cache.set_many(loaded)
            return found | loaded

        first, second = await asyncio.gather(users([1, 2]), users([2, 3]))
        assert source.calls == [[1, 2, 3]]  # of both
        assert first == {1: "value of 1", 2: "value of 2"}
        assert second == {2: "value of 2", 3: "value of 3"}
        assert await users([3, 4]) == {3: "value of 3", 4: "value of 4"}
        assert source.calls == [[1, 2, 3], [4]]

    run(main())


class Hostile(MutableMapping[Hashable, Any]):
    """A cache that fails where it is told to."""

    def __init__(self, *failing: str) -> None:
        self.failing = failing
        self.kept: dict[Hashable, Any] = {}

    def _do(self, what: str) -> dict[Hashable, Any]:
        if what in self.failing:
            raise Oops(what)
        return self.kept

    def __getitem__(self, at: Hashable) -> Any:
        return self._do("get")[at]

    def __setitem__(self, at: Hashable, value: Any) -> None:
        self._do("set")[at] = value

    def __delitem__(self, at: Hashable) -> None:
        del self._do("delete")[at]

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self.kept)

    def __len__(self) -> int:
        return len(self.kept)


def test_what_a_cache_raises_when_it_is_asked_is_passed_on() -> None:
    async def main() -> None:
        loader = Loader(Source(), cache=Hostile("get"))
        with pytest.raises(Oops, match="get"):
            loader.load(1)
        assert loader.stats().misses == 0

    run(main())


def test_a_cache_that_takes_no_value_keeps_nobody_waiting() -> None:
    async def main() -> None:
        reports: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
        loader = Loader(Source(), cache=Hostile("set"))
        assert await loader.load_many([1, 2]) == ["value of 1", "value of 2"]
        (report,) = reports  # one for the call, not one for each key
        assert report["message"] == "the cache of a Loader did not take a value"
        assert isinstance(report["exception"], Oops)
        assert loader.stats().loaded == 2

    run(main())
