"""`cached` on ordinary functions."""

from __future__ import annotations

import functools

import pytest
from tests.clock import Clock

from penstock import CacheStats, cached


def test_function_is_called_once_for_equal_arguments() -> None:
    calls = []

    @cached
    def double(number: int) -> int:
        calls.append(number)
        return 2 * number

    assert [double(1), double(2), double(1), double(2)] == [2, 4, 2, 4]
    assert calls == [1, 2]


def test_none_is_a_value() -> None:
    calls = []

    @cached
    def find(key: str) -> None:
        calls.append(key)

    assert [find("a"), find("a")] == [None, None]
    assert calls == ["a"]


@pytest.mark.parametrize("value", [None, False, 0, "", (), ..., NotImplemented, KeyError("a")])
def test_any_value_can_be_cached(value: object) -> None:
    results = iter([value, "called again"])
    function = cached(lambda: next(results))
    assert [function(), function()] == [value, value]


def test_failure_is_raised_unchanged_and_not_cached() -> None:
    outcomes = [ValueError("first"), LookupError("second"), "third"]

    @cached
    def load(key: str) -> object:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    expected = list(outcomes)
    with pytest.raises(ValueError, match="first") as first:
        load("a")
    with pytest.raises(LookupError, match="second") as second:
        load("a")
    assert [first.value, second.value] == expected[:2]
    assert [load("a"), load("a")] == ["third", "third"]
    assert load.stats().load_failures == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration])
def test_exceptions_of_every_kind_pass_through(error: type[BaseException]) -> None:
    errors = [error]

    @cached
    def load() -> str:
        if errors:
            raise errors.pop()
        return "value"

    with pytest.raises(error):
        load()
    assert load() == "value"


def test_decorator_without_options_keeps_1024_results() -> None:
    @cached
    def same(number: int) -> int:
        return number

    assert same.cache_parameters() == {"maxsize": 1024, "typed": False}
    for number in range(1025):
        same(number)
    assert same.cache_info() == (0, 1025, 1024, 1024)
    same(0)
    assert same.cache_info().misses == 1026


def test_least_recently_used_result_leaves_first() -> None:
    calls = []

    @cached(maxsize=2)
    def same(key: str) -> str:
        calls.append(key)
        return key

    for key in "abacab":
        same(key)
    assert calls == ["a", "b", "c", "b"]


def test_maxsize_can_be_given_by_position_or_by_name_or_as_none() -> None:
    sizes = [cached(7), cached(maxsize=7), cached(None), cached(maxsize=None), cached()]
    assert [made(abs).cache_info().maxsize for made in sizes] == [7, 7, None, None, 1024]


@pytest.mark.parametrize("maxsize", [2, None])
@pytest.mark.parametrize("typed", [True, False])
def test_information_is_that_of_lru_cache(maxsize: int | None, typed: bool) -> None:
    def same(value: object) -> object:
        return value

    ours = cached(maxsize=maxsize, typed=typed)(same)
    theirs = functools.lru_cache(maxsize=maxsize, typed=typed)(same)
    assert ours.cache_parameters() == theirs.cache_parameters()
    for value in [1, 2, 1.0, "1", True, 3, 1, 2, None]:
        assert ours(value) is theirs(value)
        assert ours.cache_info() == theirs.cache_info()
        assert ours.cache_info()._asdict() == theirs.cache_info()._asdict()
    ours.cache_clear()
    theirs.cache_clear()
    assert ours.cache_info() == theirs.cache_info() == (0, 0, maxsize, 0)


def test_representation_of_the_information_is_that_of_lru_cache() -> None:
    info = cached(abs).cache_info()
    assert repr(info) == repr(functools.lru_cache(1024)(abs).cache_info())


def test_parameters_are_a_copy() -> None:
    function = cached(abs)
    function.cache_parameters()["maxsize"] = 1
    assert function.cache_parameters() == {"maxsize": 1024, "typed": False}


def test_statistics_count_hits_misses_loads_and_their_time() -> None:
    clock = Clock()

    @cached(timer=clock, ttl=60)
    def load(key: str) -> str:
        clock.advance(2.0)
        if key == "bad":
            raise ValueError
        return key

    load("a")
    load("a")
    with pytest.raises(ValueError):
        load("bad")
    assert load.stats() == CacheStats(
        hits=1, misses=2, loads=1, load_failures=1, load_seconds=4.0, size=1, weight=1, maxsize=1024
    )


def test_result_expires() -> None:
    clock = Clock()
    calls = []
    load = cached(ttl=10, timer=clock)(calls.append)
    load("a")
    clock.advance(9.5)
    load("a")
    assert calls == ["a"]
    clock.advance(0.5)
    load("a")
    assert calls == ["a", "a"]


def test_result_that_is_not_used_expires() -> None:
    clock = Clock()
    calls = []
    load = cached(tti=10, timer=clock)(calls.append)
    for _ in range(5):
        load("a")
        clock.advance(6)
    assert calls == ["a"]
    clock.advance(10)
    load("a")
    assert calls == ["a", "a"]


def test_result_too_heavy_for_the_cache_is_returned_and_not_stored() -> None:
    calls = []

    @cached(maxsize=10, weigher=lambda key, value: len(value))
    def load(size: int) -> str:
        calls.append(size)
        return "x" * size

    assert [load(11), load(11), load(10), load(10)] == ["x" * 11] * 2 + ["x" * 10] * 2
    assert calls == [11, 11, 10]
    assert load.stats().weight == 10


def test_evicted_results_are_reported_with_their_keys() -> None:
    told = []
    load = cached(maxsize=1, on_evict=lambda *args: told.append(args))(str.upper)
    load("a")
    load("b")
    load.cache_clear()
    assert told == [("a", "A", "size"), ("b", "B", "deleted")]


def test_function_may_call_itself_with_other_arguments() -> None:
    @cached
    def fibonacci(number: int) -> int:
        return number if number < 2 else fibonacci(number - 1) + fibonacci(number - 2)

    assert fibonacci(80) == 23416728348467685
    assert fibonacci.cache_info() == (78, 81, 1024, 81)


def test_every_kind_of_callable_can_be_cached() -> None:
    class Adder:
        def __call__(self, number: int) -> int:
            return number + 1

    class Point:
        def __init__(self, x: int) -> None:
            self.x = x

    assert cached(Adder())(1) == 2
    assert cached(functools.partial(pow, 2))(3) == 8
    assert cached(len)("abc") == 3
    assert cached("text".split)("x") == ["te", "t"]
    assert cached(staticmethod(len))("abc") == 3
    point = cached(Point)
    assert point(1) is point(1)
    assert point(1) is not point(2)


def test_functions_do_not_share_results() -> None:
    one, two = cached(lambda key: "one"), cached(lambda key: "two")
    assert [one("a"), two("a"), one("a")] == ["one", "two", "one"]


def test_cache_is_there_to_be_looked_into() -> None:
    load = cached(name="users", ttl=5)(str.upper)
    load("a")
    assert dict(load.cache.items()) == {"a": "A"}
    assert load.cache.name == "users"
    assert load.cache.ttl == 5.0
    load.cache["b"] = "by hand"
    assert load("b") == "by hand"
