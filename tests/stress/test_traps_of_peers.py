"""What other caches get wrong, one test for each trap."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from itertools import product

from penstock import Cache, RecursiveLoad, cached
from tests.stress.harness import collect, in_child
from tests.stress.hostile import OPERATIONS, WHOLE, Key, Oops, Value, quietly
from tests.threads import spawn


async def settle() -> None:
    """Let everything that is ready run."""
    for _ in range(10):
        await asyncio.sleep(0)


def with_key(on_eq: object) -> Cache[object, object]:
    """A cache with one key that does something when it is compared."""
    cache: Cache[object, object] = Cache(8)
    cache.set(Key(on_eq=on_eq), "old")
    return cache


@in_child
def test_eq_that_uses_the_same_cache_does_not_hang() -> None:
    for (name, outer), (inner_name, inner) in product(
        OPERATIONS.items(), (OPERATIONS | WHOLE).items()
    ):
        print(name, "while", inner_name)
        uses = []

        def use() -> None:
            if not uses:
                uses.append(1)
                quietly(inner, cache, Key())

        cache = with_key(use)
        quietly(outer, cache, Key())
        assert uses
        cache.set("then", 1)
        assert cache["then"] == 1


@in_child
def test_del_that_uses_the_cache_during_eviction_does_not_hang() -> None:
    for name, operation in (OPERATIONS | WHOLE).items():
        print(name)
        cache: Cache[object, object] = Cache(1)
        deaths = []

        def use() -> None:
            deaths.append(1)
            quietly(operation, cache, "other")

        cache["first"] = Value(use)
        cache["second"] = 2
        assert deaths == [1]


@in_child
def test_del_that_uses_the_cache_during_clear_does_not_hang() -> None:
    for name, operation in (OPERATIONS | WHOLE).items():
        print(name)
        cache: Cache[object, object] = Cache(8)
        deaths = []

        def use() -> None:
            deaths.append(1)
            quietly(operation, cache, "other")

        for key in range(5):
            cache[key] = Value(use)
        cache.clear()
        assert deaths == [1] * 5


@in_child
def test_error_of_eq_is_not_swallowed() -> None:
    for name, operation in OPERATIONS.items():
        print(name)
        key = Key()
        cache: Cache[object, object] = Cache(8)
        cache.set(key, "old")

        def fail() -> None:
            raise Oops

        key.on_eq = fail
        try:
            operation(cache, Key())
        except Oops:
            pass
        else:
            raise AssertionError("the error was swallowed")
        assert list(cache.items()) == [(key, "old")]


@in_child
def test_keys_of_one_hash_do_not_replace_each_other() -> None:
    cache: Cache[object, object] = Cache(100)
    for number in range(50):
        cache[Key(number)] = number
    assert [cache[Key(number)] for number in range(50)] == list(range(50))


@in_child
def test_eq_that_releases_the_gil_does_not_hang_other_threads() -> None:
    cache = with_key(lambda: time.sleep(0))

    def work() -> None:
        for number in range(300):
            cache.get(Key())
            cache.set(Key(number % 3), "new")
            cache.get(Key(number % 5))

    for thread in [spawn(work) for _ in range(4)]:
        thread.result()


@in_child
def test_collection_of_garbage_during_a_comparison_does_not_hang() -> None:
    for name, operation in OPERATIONS.items():
        print(name)
        cache = with_key(gc.collect)
        cache["itself"] = cache
        quietly(operation, cache, Key())


@in_child
def test_cycle_through_the_cache_does_not_leak() -> None:
    cache: Cache[object, object] = Cache(8)
    cache["itself"] = cache
    died = weakref.ref(cache)
    del cache
    collect()
    assert died() is None


@in_child
def test_value_is_freed_at_once_after_remove_replace_and_clear() -> None:
    gc.disable()
    cache: Cache[object, object] = Cache(1)
    for name, leave in {
        "remove": lambda: cache.__delitem__("key"),
        "pop": lambda: cache.pop("key"),
        "replace": lambda: cache.set("key", 1),
        "evict": lambda: cache.set("other", 1),
        "clear": lambda: cache.clear(),
    }.items():
        cache.set("key", Value())
        died = weakref.ref(cache["key"])
        leave()
        assert died() is None, name


@in_child
def test_cancelling_the_first_waiter_does_not_cancel_the_others() -> None:
    async def main() -> None:
        go = asyncio.Event()

        @cached
        async def load(key: str) -> str:
            await go.wait()
            return key

        first, second, third = (asyncio.ensure_future(load("a")) for _ in range(3))
        await settle()
        first.cancel()
        await settle()
        go.set()
        assert await asyncio.gather(second, third) == ["a", "a"]
        assert first.cancelled()

    asyncio.run(main())


@in_child
def test_cancelled_waiter_does_not_poison_the_key() -> None:
    async def main() -> None:
        go, calls = asyncio.Event(), []

        @cached
        async def load(key: str) -> str:
            calls.append(key)
            await go.wait()
            return key

        waiters = [asyncio.ensure_future(load("a")) for _ in range(2)]
        await settle()
        for waiter in waiters:
            waiter.cancel()
        await settle()
        go.set()
        assert await load("a") == "a"
        assert calls == ["a", "a"]

    asyncio.run(main())


@in_child
def test_failed_load_is_not_cached() -> None:
    calls = []

    def fail(key: str) -> str:
        calls.append(key)
        raise Oops

    async def fail_later(key: str) -> str:
        return fail(key)

    def failed(call: object) -> bool:
        try:
            call()
        except Oops:
            return True
        return False

    now, later = cached(fail), cached(fail_later)
    assert all(failed(lambda: now("a")) for _ in range(3))
    assert all(failed(lambda: asyncio.run(later("b"))) for _ in range(3))
    assert calls == ["a"] * 3 + ["b"] * 3


@in_child
def test_load_left_pending_by_a_closed_loop_does_not_reach_a_later_loop() -> None:
    go = []

    @cached
    async def load(key: str) -> str:
        if not go:
            await asyncio.get_running_loop().create_future()
        return key

    async def leave() -> None:
        asyncio.ensure_future(load("a"))
        await settle()

    loop = asyncio.new_event_loop()
    # What asyncio says about tasks that outlive their loop is not the subject.
    loop.set_exception_handler(lambda loop, context: None)
    loop.run_until_complete(leave())
    loop.close()
    closed = weakref.ref(loop)
    del loop
    collect()
    assert closed() is None
    go.append(1)
    assert asyncio.run(load("a")) == "a"


@in_child
def test_none_is_cached() -> None:
    calls = []

    def find(key: str) -> None:
        calls.append(key)

    async def find_later(key: str) -> None:
        calls.append(key)

    now, later = cached(find), cached(find_later)
    assert [now("a") for _ in range(3)] == [None] * 3
    assert [asyncio.run(later("b")) for _ in range(3)] == [None] * 3
    assert calls == ["a", "b"]
    cache: Cache[str, None] = Cache(1)
    cache["a"] = None
    assert cache.get("a", 1) is None
    assert cache.get_or_load("a", lambda key: calls.append(key)) is None
    assert calls == ["a", "b"]


@in_child
def test_one_and_its_text_have_entries_of_their_own() -> None:
    @cached
    def name(value: object) -> str:
        return type(value).__name__

    assert [name(1), name("1"), name(b"1"), name((1,)), name(("1",))] == [
        "int",
        "str",
        "bytes",
        "tuple",
        "tuple",
    ]
    assert name.cache_info().currsize == 5


@in_child
def test_result_of_a_hit_is_accepted_by_create_task() -> None:
    @cached
    async def load(key: str) -> str:
        return key

    async def main() -> None:
        await load("a")
        assert await asyncio.create_task(load("a")) == "a"
        assert load.cache_info().hits == 1

    asyncio.run(main())
    assert asyncio.run(load("a")) == "a"


@in_child
def test_load_that_asks_for_its_own_key_does_not_hang() -> None:
    @cached
    def now(key: str) -> str:
        return now(key)

    @cached
    async def later(key: str) -> str:
        return await later(key)

    for call in (lambda: now("a"), lambda: asyncio.run(later("a"))):
        try:
            call()
        except RecursiveLoad:
            continue
        raise AssertionError("nothing was raised")


@in_child
def test_nested_decorators_do_not_hang() -> None:
    @cached
    @cached
    def now(key: str) -> str:
        return key

    @cached
    @cached
    async def later(key: str) -> str:
        return key

    assert [now("a"), now("a")] == ["a", "a"]
    assert [asyncio.run(later("a")), asyncio.run(later("a"))] == ["a", "a"]


@in_child
def test_key_error_of_a_loader_does_not_run_it_twice() -> None:
    calls = []

    @cached
    def load(key: str) -> str:
        calls.append(key)
        raise KeyError(key)

    try:
        load("a")
    except KeyError as error:
        assert error.args == ("a",)
    assert calls == ["a"]


@in_child
def test_slow_load_does_not_undo_an_invalidation() -> None:
    async def main() -> None:
        gates = [asyncio.Event(), asyncio.Event()]
        source = ["old"]

        @cached
        async def read(key: str) -> str:
            value = source[0]
            await gates[0 if value == "old" else 1].wait()
            return value

        first = asyncio.ensure_future(read("a"))
        await settle()
        source[0] = "new"
        read.invalidate("a")
        second = asyncio.ensure_future(read("a"))
        await settle()
        gates[1].set()
        assert await second == "new"
        gates[0].set()
        assert await first == "old"
        assert await read("a") == "new"

    asyncio.run(main())


@in_child
def test_what_is_cached_is_the_value_and_not_the_task() -> None:
    class Result:
        pass

    @cached
    async def load(key: str) -> Result:
        task.append(weakref.ref(asyncio.current_task()))
        return Result()

    task: list[weakref.ref[object]] = []
    asyncio.run(load("a"))
    collect()
    assert task[0]() is None
    assert isinstance(load.cache["a"], Result)


@in_child
def test_a_cache_starts_no_thread() -> None:
    cache: Cache[int, int] = Cache(8, ttl=60)
    for number in range(100):
        cache[number] = number
    assert threading.active_count() == 1
