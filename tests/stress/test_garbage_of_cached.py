"""Cycles through cached functions and their loads are collected, and nothing but garbage is."""

# What is defined in a round is used up in it.
from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from typing import TYPE_CHECKING

from tests.stress.harness import collect, in_child
from tests.stress.hostile import Value
from tests.stress.leaks import Node, check_dies

from penstock import cached

if TYPE_CHECKING:
    pass


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
def test_failed_calls_free_their_arguments_at_once() -> None:
    @cached(key=lambda argument: "key")
    def load(argument: Node) -> int:
        raise ValueError

    gc.disable()
    for call in (load, load.refresh, lambda argument: load.cache.get_or_load(argument, load)):
        argument = Node()
        died = weakref.ref(argument)
        with contextlib.suppress(ValueError):
            call(argument)
        del argument
        assert died() is None
