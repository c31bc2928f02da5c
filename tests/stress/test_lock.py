"""
What runs while a cache is in the midst of an operation: collections, finalizers, signal handlers.

On 3.11 every allocation of a container may start a collection, and with it any Python code. The
native lock answers re-entry with a RuntimeError; here nobody ever gets to see one.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
import threading

from tests.clock import Clock
from tests.stress.harness import in_child, rounds
from tests.stress.hostile import OPERATIONS, WHOLE, Key, error_of, quietly
from tests.threads import LIMIT, spawn

from penstock import Cache, _backend, cached

EVERYTHING = {name: run for name, run in (OPERATIONS | WHOLE).items() if name != "resize"}


class Intruder:
    """Uses a cache in every way, one way at each call, but not within itself."""

    def __init__(self, cache: Cache[object, object]) -> None:
        self.cache = cache
        self.calls = 0
        self.errors: list[str] = []
        self._busy = False

    def __call__(self, *_: object) -> None:
        if self._busy:
            return
        self._busy = True
        self.calls += 1
        name = list(EVERYTHING)[self.calls % len(EVERYTHING)]
        key = [1, "key", (1, "key"), Key()][self.calls % 4]
        try:
            quietly(EVERYTHING[name], self.cache, key)
        except Exception as error:
            self.errors.append(f"{name}({key!r}): {error!r}")
        finally:
            self._busy = False


def use(cache: Cache[object, object], clock: Clock, number: int) -> None:
    """Do everything that allocates something or lets go of something."""
    for name, operation in EVERYTHING.items():
        if name not in {"clear", "popitem"}:
            quietly(operation, cache, number % 7)
            quietly(operation, cache, (number % 7, "key"))
            quietly(operation, cache, Key(number % 3))
    clock.advance(1)
    if number % 50 == 0:
        cache.clear()


def check_consistent(cache: Cache[object, object]) -> None:
    assert len(cache) == len(list(cache)) == cache.stats().weight <= 9
    assert all(cache.peek(key) is not None for key in cache)
    cache.clear()
    assert cache.stats().weight == len(cache) == 0


def make() -> tuple[Cache[object, object], Clock]:
    clock = Clock()
    return Cache(9, ttl=20, timer=clock), clock


@in_child
def test_collector_callbacks_meet_no_operation_half_done() -> None:
    cache, clock = make()
    intruder = Intruder(cache)
    gc.callbacks.append(intruder)
    gc.set_threshold(1, 1, 1)
    for number in range(rounds(100)):
        use(cache, clock, number)
    gc.callbacks.clear()
    assert intruder.calls > 1000
    assert intruder.errors == []
    check_consistent(cache)


@in_child
def test_collector_callbacks_meet_no_memo_half_called() -> None:
    cache, _ = make()
    intruder = Intruder(cache)

    @cached(cache=cache, stale=5, ttl=10)
    def function(*args: object, **kwargs: object) -> object:
        return [args, kwargs]

    @cached(maxsize=3)
    async def coroutine_function(*args: object, **kwargs: object) -> object:
        intruder()
        return [args, kwargs]

    async def main() -> None:
        for number in range(rounds(300)):
            await coroutine_function(number % 4, option=None)
            await asyncio.gather(coroutine_function(number), coroutine_function(number % 5))

    gc.callbacks.append(intruder)
    gc.set_threshold(1, 1, 1)
    for number in range(rounds(300)):
        function(number % 12)
        function(number % 12, "more", option=(number % 3,))
        function.invalidate(number % 5)
        function.refresh(number % 5)
    asyncio.run(main())
    gc.callbacks.clear()
    assert intruder.calls > 300
    assert intruder.errors == []
    check_consistent(cache)


@in_child
def test_signal_handlers_meet_no_operation_half_done() -> None:
    cache, clock = make()
    intruder = Intruder(cache)
    signal.signal(signal.SIGALRM, intruder)
    signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
    number = 0
    while intruder.calls < rounds(300):
        number += 1
        use(cache, clock, number)
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert intruder.errors == []
    check_consistent(cache)


@in_child
def test_signal_handler_that_raises_leaves_the_cache_usable() -> None:
    class Interrupt(BaseException):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupt

    cache, _ = make()
    for name, operation in EVERYTHING.items():
        print(name)
        for key in (Key(), Key("other", on_eq=lambda: os.kill(os.getpid(), signal.SIGUSR1))):
            cache.clear()
            cache.set(key, "value")
            signal.signal(signal.SIGUSR1, interrupt)
            with contextlib.suppress(Interrupt):
                quietly(operation, cache, Key())
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            cache.set("usable", 1)
            assert cache["usable"] == 1
    check_consistent(cache)


@in_child
def test_interrupt_while_a_thread_waits_for_a_load_leaves_it_usable() -> None:
    class Interrupt(BaseException):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupt

    cache: Cache[str, str] = Cache(8)
    inside, go = threading.Event(), threading.Event()

    def load(key: str) -> str:
        inside.set()
        assert go.wait(LIMIT)
        return key.upper()

    leader = spawn(cache.get_or_load, "key", load)
    assert inside.wait(LIMIT)
    signal.signal(signal.SIGALRM, interrupt)
    # Again and again, for the first one may come before the wait has begun.
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        cache.get_or_load("key", load)
    except Interrupt:
        signal.setitimer(signal.ITIMER_REAL, 0)
    else:
        raise AssertionError("it was not interrupted")
    waiter = spawn(cache.get_or_load, "key", load)
    go.set()
    assert leader.result() == waiter.result() == cache["key"] == "KEY"


@in_child
def test_finalizers_run_by_a_collection_meet_no_operation_half_done() -> None:
    cache, clock = make()
    intruder = Intruder(cache)

    class Knot:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            intruder()

    gc.set_threshold(3, 1, 1)
    for number in range(rounds(100)):
        Knot()
        cache[number] = Knot()
        cache[number, "pair"] = [Knot()]
        use(cache, clock, number)
    assert intruder.calls > 100
    assert intruder.errors == []
    cache.clear()
    gc.collect()
    gc.disable()  # for the check takes more than one look
    check_consistent(cache)


@in_child
def test_collector_callbacks_meet_no_awaitable_half_made() -> None:
    awaited = []

    def intrude(*_: object) -> None:
        one, two = _backend.Ready("one"), _backend.Ready("two")
        one.close()
        try:
            two.send(None)
        except StopIteration as stop:
            awaited.append(stop.value)

    gc.callbacks.append(intrude)
    gc.set_threshold(1, 1, 1)
    pending = [_backend.Ready([number]) for number in range(rounds(500))]
    gc.callbacks.clear()
    assert len(awaited) > 100
    assert set(awaited) == {"two"}
    for number, ready in enumerate(pending):
        assert repr(error_of(lambda ready=ready: ready.send(None))) == f"StopIteration([{number}])"


@in_child
def test_trace_functions_meet_no_operation_half_done() -> None:
    cache, clock = make()
    intruder = Intruder(cache)

    def trace(frame: object, event: str, argument: object) -> object:
        if "_pure" in frame.f_code.co_filename or event.startswith("c_"):
            intruder()
        return None

    sys.setprofile(trace)
    for number in range(rounds(5)):
        use(cache, clock, number)
    sys.setprofile(None)
    assert intruder.calls > 100
    assert intruder.errors == []
    check_consistent(cache)
