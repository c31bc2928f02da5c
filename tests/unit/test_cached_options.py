"""What `cached` refuses, and when: as soon as it is told, not at the first call."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from penstock import Cache, cached

if TYPE_CHECKING:
    from collections.abc import Iterator


def function(key: str) -> str:
    return key


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"maxsize": 0}, ValueError, "maxsize must be >= 1, got 0"),
        ({"maxsize": -1}, ValueError, "maxsize must be >= 1, got -1"),
        ({"maxsize": True}, TypeError, "maxsize must be an int or None, got bool"),
        ({"maxsize": 1.0}, TypeError, "maxsize must be an int or None, got float"),
        ({"maxsize": "10"}, TypeError, "maxsize must be an int or None, got str"),
        ({"ttl": 0}, ValueError, "ttl must be > 0, got 0"),
        ({"ttl": -1.5}, ValueError, "ttl must be > 0, got -1.5"),
        ({"ttl": "1"}, TypeError, "ttl must be a number of seconds or a timedelta, got str"),
        ({"ttl": True}, TypeError, "ttl must be a number of seconds or a timedelta, got bool"),
        ({"ttl": float("nan")}, ValueError, "ttl must be finite, got nan"),
        ({"ttl": 1e10}, ValueError, "ttl must be <= 9000000000 seconds, got 10000000000.0"),
        ({"tti": 0}, ValueError, "tti must be > 0, got 0"),
        ({"ttl": 1, "stale": 0}, ValueError, "stale must be > 0, got 0"),
        ({"ttl": 1, "stale": "1"}, TypeError, "stale must be a number of seconds or a timedelta"),
        ({"stale": 5}, ValueError, "stale needs a ttl"),
        ({"ttl": 1, "stale": 5, "tti": 2}, ValueError, "stale cannot be combined with tti"),
        ({"jitter": 1}, ValueError, "jitter must be >= 0 and < 1, got 1"),
        ({"jitter": 2, "ttl": 1, "stale": 1}, ValueError, "jitter must be >= 0 and < 1, got 2"),
        ({"jitter": "0", "ttl": 1, "stale": 1}, TypeError, "jitter must be a number, got str"),
        ({"policy": "lfu"}, ValueError, "policy must be 'lru', got 'lfu'"),
        ({"weigher": 1}, TypeError, "weigher must be callable, got int"),
        ({"on_evict": 1}, TypeError, "on_evict must be callable, got int"),
        ({"timer": 1}, TypeError, "timer must be callable, got int"),
        ({"name": 1}, TypeError, "name must be a str, got int"),
        ({"key": 1}, TypeError, "key must be callable, got int"),
        ({"typed": 1}, TypeError, "typed must be a bool, got int"),
        ({"cache": {}}, TypeError, "cache must be a Cache, got dict"),
        ({"size": 1}, TypeError, "size"),
    ],
)
def test_wrong_option_is_refused_before_there_is_a_function(
    options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as raised:
        cached(**options)
    assert message in str(raised.value)


def test_options_are_keyword_only() -> None:
    with pytest.raises(TypeError, match="positional"):
        cached(10, 60)


@pytest.mark.parametrize("thing", [None, 1, "text", [], property(abs), classmethod(abs)])
def test_only_what_can_be_called_can_be_cached(thing: object) -> None:
    with pytest.raises(TypeError, match="cached needs a function, got"):
        cached(maxsize=5)(thing)


def test_bare_decorator_of_something_that_cannot_be_called() -> None:
    with pytest.raises(TypeError):
        cached(classmethod(abs))


def test_generator_functions_are_refused() -> None:
    def numbers() -> Iterator[int]:
        yield 1

    async def later() -> object:
        yield 1

    for function in (numbers, later):
        with pytest.raises(TypeError, match="cached cannot keep what the generator function"):
            cached(function)
        with pytest.raises(TypeError, match=function.__name__):
            cached(ttl=1)(function)


def test_timedeltas_are_durations() -> None:
    made = cached(ttl=timedelta(minutes=1), stale=timedelta(seconds=30))(function)
    assert made.cache.ttl == 90.0
    assert cached(tti=timedelta(minutes=2))(function).cache.tti == 120.0


def test_options_reach_the_cache() -> None:
    made = cached(7, ttl=60, tti=30, jitter=0.5, policy="lru", name="seven")(function)
    cache = made.cache
    assert (cache.maxsize, cache.ttl, cache.tti, cache.policy) == (7, 60.0, 30.0, "lru")
    assert cache.name == "seven"


def test_decorator_with_options_makes_a_cache_for_each_function() -> None:
    decorate = cached(maxsize=2)
    one, two = decorate(str.upper), decorate(str.lower)
    assert one.cache is not two.cache
    assert [one("a"), two("A")] == ["A", "a"]
    assert one.cache_info() == two.cache_info() == (0, 1, 2, 1)


def test_function_and_options_may_be_given_at_once() -> None:
    assert cached(str.upper, ttl=60).cache.ttl == 60.0


class TestSharedCache:
    def test_results_are_kept_in_it(self) -> None:
        cache: Cache[object, object] = Cache(5, name="shared")
        made = cached(cache=cache)(str.upper)
        made("a")
        assert made.cache is cache
        assert dict(cache.items()) == {"a": "A"}
        assert made.cache_parameters() == {"maxsize": 5, "typed": False}
        assert made.cache_info() == (0, 1, 5, 1)

    def test_second_function_without_a_key_is_refused(self) -> None:
        cache: Cache[object, object] = Cache(5)
        cached(cache=cache)(str.upper)
        with pytest.raises(
            ValueError, match=r"cache already serves another function; give .*lower"
        ):
            cached(cache=cache)(str.lower)

    def test_coroutine_function_counts_as_a_second_one(self) -> None:
        cache: Cache[object, object] = Cache(5)
        cached(cache=cache)(str.upper)
        with pytest.raises(ValueError, match="already serves another function"):
            cached(cache=cache)(asyncio.sleep)

    def test_functions_with_keys_of_their_own_may_share_it(self) -> None:
        cache: Cache[object, object] = Cache(5)
        upper = cached(cache=cache, key=lambda text: ("upper", text))(str.upper)
        lower = cached(cache=cache, key=lambda text: ("lower", text))(str.lower)
        title = cached(cache=cache)(str.title)
        assert [upper("ab"), lower("Ab"), title("ab")] == ["AB", "ab", "Ab"]
        assert [upper("ab"), lower("Ab"), title("ab")] == ["AB", "ab", "Ab"]
        assert cache.stats().hits == 3

    def test_cache_that_came_after_another_one_is_free(self) -> None:
        for _ in range(50):  # among so many one gets the address of a former one
            cached(cache=Cache(5))(str.upper)

    def test_ttl_of_the_function_is_that_of_its_results(self) -> None:
        cache: Cache[object, object] = Cache(5, ttl=100, timer=lambda: 0.0)
        own = cached(cache=cache, ttl=10)(str.upper)
        own("a")
        assert cache.ttl_of("a") == 10.0
        cache["b"] = "by hand"
        assert cache.ttl_of("b") == 100.0
        own.refresh("b")
        assert cache.ttl_of("b") == 10.0

    def test_ttl_of_the_function_is_that_of_awaited_results(self) -> None:
        cache: Cache[object, object] = Cache(5, timer=lambda: 0.0)

        @cached(cache=cache, ttl=10, stale=5)
        async def load(key: str) -> str:
            return key

        asyncio.run(load("a"))
        assert cache.ttl_of("a") == 15.0

    def test_without_a_ttl_the_cache_decides(self) -> None:
        cache: Cache[object, object] = Cache(5, ttl=100, timer=lambda: 0.0)
        cached(cache=cache)(str.upper)("a")
        assert cache.ttl_of("a") == 100.0

    @pytest.mark.parametrize(
        "options",
        [
            *({"tti": 1}, {"jitter": 0.1}, {"weigher": len}, {"on_evict": print}),
            *({"name": "x"}, {"policy": "lru"}, {"timer": float}),
        ],
    )
    def test_options_of_the_cache_are_refused_beside_it(self, options: dict[str, object]) -> None:
        (name,) = options
        with pytest.raises(TypeError, match=f"{name} belongs to the cache that was given"):
            cached(cache=Cache(5), **options)

    def test_stale_is_refused_on_a_cache_with_an_idle_time(self) -> None:
        with pytest.raises(ValueError, match="stale cannot be combined with tti"):
            cached(cache=Cache(5, tti=5), ttl=5, stale=5)

    def test_stale_needs_a_ttl_of_its_own(self) -> None:
        with pytest.raises(ValueError, match="stale needs a ttl"):
            cached(cache=Cache(5, ttl=5), stale=5)
