"""Cycles through caches and cached functions are found by the garbage collector, and only garbage."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING

from penstock import Cache, _backend, cached
from tests.stress.harness import collect, in_child
from tests.stress.hostile import Key, Value

if TYPE_CHECKING:
    from collections.abc import Callable


class Node:
    """Something to refer to other things with."""

    def __init__(self, **links: object) -> None:
        self.__dict__.update(links)


def check_dies(make: Callable[[], object]) -> None:
    """Assert that what *make* returns is garbage, and that its cycle is collected."""
    thing = make()
    died = weakref.ref(thing)
    collect()
    assert died() is thing, "it was collected while in use"
    del thing
    collect()
    assert died() is None, f"it leaks: {gc.get_referrers(died())}"


@in_child
def test_cycle_through_a_value() -> None:
    def make() -> object:
        cache: Cache[object, object] = Cache(8)
        cache["key"] = Node(cache=cache)
        return cache

    check_dies(make)


@in_child
def test_cycle_through_a_key() -> None:
    def make() -> object:
        cache: Cache[object, object] = Cache(8)
        cache[Key(cache)] = 1
        return cache

    check_dies(make)


@in_child
def test_cycle_through_each_callback() -> None:
    for option in ("weigher", "on_evict", "timer"):
        print(option)

        def make() -> object:
            node = Node()
            callbacks = {
                "weigher": lambda key, value: 1 if node else 0,
                "on_evict": lambda key, value, cause: node,
                "timer": lambda: 1.0 if node else 0.0,
            }
            node.cache = Cache(2, ttl=9, **{option: callbacks[option]})
            node.cache.update(a=1, b=2, c=3)
            return node

        check_dies(make)


@in_child
def test_cycle_of_two_caches() -> None:
    def make() -> object:
        one: Cache[object, object] = Cache(8)
        one["other"] = Cache(8)
        one["other"]["one"] = one
        return one

    check_dies(make)


@in_child
def test_cycle_through_a_flight() -> None:
    def make() -> object:
        cache: Cache[object, object] = Cache(8)
        key = Key(cache)
        key.name = Node(cache=cache, flight=cache._begin(key))
        return cache

    check_dies(make)


@in_child
def test_cycle_through_an_expiring_and_an_idle_entry() -> None:
    for options in ({"ttl": 60}, {"tti": 60}, {"ttl": 60, "tti": 30, "jitter": 0.5}):

        def make() -> object:
            cache: Cache[object, object] = Cache(8, **options)  # noqa: B023  # called at once
            cache["key"] = cache
            cache.get("key")
            cache.touch("key")
            return cache

        check_dies(make)


@in_child
def test_cached_function_that_refers_to_itself() -> None:
    def make_sync() -> object:
        @cached
        def count(number: int) -> int:
            return 0 if number == 0 else 1 + count(number - 1)

        assert count(3) == 3
        return count

    def make_async() -> object:
        @cached
        async def count(number: int) -> int:
            return 0 if number == 0 else 1 + await count(number - 1)

        assert asyncio.run(count(3)) == 3
        return count

    check_dies(make_sync)
    check_dies(make_async)


@in_child
def test_cached_function_among_its_own_results_and_options() -> None:
    def make_result() -> object:
        @cached
        def itself(key: str) -> object:
            return itself

        itself("a")
        itself.refresh("b")
        return itself

    def make_key() -> object:
        function = cached(key=lambda argument: (id(function), argument))(str)
        function(1)
        return function

    def make_options() -> object:
        function = cached(
            maxsize=1,
            ttl=5,
            stale=5,
            timer=lambda: 1.0 if function else 0.0,
            on_evict=lambda *_: function,
            weigher=lambda *_: 1,
        )(str)
        function(1)
        function(2)
        return function

    def make_attribute() -> object:
        function = cached(str)
        function.me = function
        return function

    for make in (make_result, make_key, make_options, make_attribute):
        print(make.__name__)
        check_dies(make)


@in_child
def test_instance_in_the_cache_of_its_own_method() -> None:
    def make() -> object:
        class Service:
            @cached
            def double(self, number: int) -> int:
                return 2 * number

            @cached
            async def treble(self, number: int) -> int:
                return 3 * number

        service = Service()
        service.double(1)
        asyncio.run(service.treble(1))
        service.bound = service.double
        return service

    check_dies(make)


@in_child
def test_instance_is_freed_once_its_results_are() -> None:
    gc.disable()

    class Service:
        @cached
        def double(self, number: int) -> int:
            return 2 * number

    service = Service()
    service.double(1)
    died = weakref.ref(service)
    del service
    assert died() is not None  # as functools.lru_cache, it is kept by its results
    Service.double.cache_clear()
    assert died() is None


@in_child
def test_bound_method_keeps_its_instance_and_no_more() -> None:
    gc.disable()

    class Service:
        @cached
        def double(self, number: int) -> int:
            return 2 * number

    service = Service()
    died, bound = weakref.ref(service), service.double
    del service
    assert died() is not None
    del bound
    assert died() is None


@in_child
def test_cycle_through_a_ready_awaitable() -> None:
    def make() -> object:
        node = Node()
        node.awaitable = _backend.Ready(node)
        return node

    check_dies(make)


@in_child
def test_function_and_results_are_freed_at_once_without_a_cycle() -> None:
    @cached
    def make(name: str) -> Value:
        return Value()

    died = weakref.ref(make("a"))
    gc.collect()
    gc.disable()
    make.cache_clear()
    assert died() is None


@in_child
def test_result_of_a_coroutine_function_is_freed_at_once_without_a_cycle() -> None:
    @cached
    async def make(name: str) -> Value:
        await asyncio.sleep(0)
        return Value()

    async def main() -> None:
        died = weakref.ref(await make("a"))
        await asyncio.sleep(0)  # for the callbacks of the task
        make.cache_clear()
        assert died() is None

    gc.collect()
    gc.disable()
    asyncio.run(main())


@in_child
def test_finished_loads_keep_neither_loop_nor_task_nor_arguments() -> None:
    loops: list[weakref.ref[object]] = []
    tasks: list[weakref.ref[object]] = []

    @cached(key=lambda argument: "key")
    async def load(argument: Node) -> int:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        tasks.append(weakref.ref(asyncio.current_task()))
        if argument.fails:
            raise ValueError
        return 1

    async def main(argument: Node) -> None:
        await asyncio.gather(*[load(argument) for _ in range(3)], return_exceptions=True)

    for fails in (True, False):
        argument = Node(fails=fails)
        died = weakref.ref(argument)
        asyncio.run(main(argument))
        del argument
        collect()
        assert died() is None
    assert [loop() for loop in loops] == [None, None]
    assert [task() for task in tasks] == [None, None]


@in_child
def test_failed_loads_of_threads_keep_no_arguments() -> None:
    @cached(key=lambda argument: "key")
    def load(argument: Node) -> int:
        raise ValueError

    argument = Node()
    died = weakref.ref(argument)
    for call in (load, load.refresh):
        try:
            call(argument)
        except ValueError:
            pass
    del argument
    collect()
    assert died() is None


@in_child
def test_dropped_cache_is_freed_without_the_collector() -> None:
    gc.disable()
    cache: Cache[object, object] = Cache(8, ttl=60, tti=60, on_evict=lambda *_: None)
    cache.update(a=1, b=2)
    cache.get_or_load("c", str.upper)
    died = weakref.ref(cache)
    del cache
    assert died() is None


@in_child
def test_garbage_collection_in_the_midst_of_everything_takes_only_garbage() -> None:
    gc.set_threshold(1, 1, 1)
    cache: Cache[object, object] = Cache(20, ttl=60, on_evict=lambda *_: [[]])

    @cached(maxsize=20)
    def pair(number: int, *, scale: int) -> list[int]:
        return [number, number * scale]

    for number in range(300):
        cache[(number % 30, "tuple")] = [number]
        assert cache[(number % 30, "tuple")] == [number]
        assert pair(number % 30, scale=2) == [number % 30, number % 30 * 2]
        assert len(cache.items()) == min(number + 1, 20)


@in_child
def test_garbage_collected_while_an_object_is_being_made() -> None:
    cache: Cache[object, object] = Cache(8)

    class Service:
        @cached
        def method(self) -> None: ...

    makers = {
        "Cache": lambda: Cache(8, ttl=60, on_evict=print, name="name"),
        "Memo": lambda: _backend.Memo(str, cache),
        "cached": lambda: cached(ttl=5, stale=5)(str),
        "cached coroutine function": lambda: cached(asyncio.sleep),
        "BoundMemo": lambda: Service().method,
        "Flight": lambda: cache._begin(object()),
        "Ready": lambda: _backend.Ready([]),
        "CacheStats": cache.stats,
    }
    for name, make in makers.items():
        print(name)
        # What is alive makes a collection due at every possible point in the making of the next.
        for threshold in range(1, 40):
            gc.set_threshold(threshold, 1, 1)
            things = [make() for _ in range(40)]
            gc.set_threshold(0)
            assert len(set(map(id, things))) == 40
