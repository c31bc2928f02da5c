"""WaiterQueue, RateGate and Breaker as objects: subclasses, garbage, timers, threads."""

from __future__ import annotations

import asyncio
import copy
import gc
import os
import pickle
import weakref
from collections.abc import Callable
from threading import Event
from types import ModuleType
from typing import Any

import pytest
from tests.backends import BACKENDS, load_backend
from tests.clock import Clock
from tests.forks import in_child
from tests.permits import make_breaker, make_gate, make_queue
from tests.threads import LIMIT, spawn

MAKERS: dict[str, Callable[..., Any]] = {
    "WaiterQueue": lambda backend, timer=None: make_queue(backend, 1, timer=timer),
    "RateGate": lambda backend, timer=None: make_gate(backend, 1.0, 1, timer),
    "Breaker": lambda backend, timer=None: make_breaker(backend, timer=timer),
}
NAMES = list(MAKERS)


@pytest.mark.parametrize("name", NAMES)
def test_the_constructor_takes_anything(backend: ModuleType, name: str) -> None:
    cls = getattr(backend, name)

    class Sub(cls):  # type: ignore[misc]  # of either backend
        def __init__(self, *args: object, key: object) -> None:
            self.args = args, key

    assert isinstance(cls(), cls)
    assert isinstance(cls(1, "x", key=2), cls)
    assert Sub(1, "x", key=2).args == ((1, "x"), 2)


def test_a_queue_that_is_not_set_up_lets_nobody_in(backend: ModuleType) -> None:
    queue = backend.WaiterQueue()
    assert (queue.limit, queue.in_use, queue.available, queue.waiting) == (0, 0, 0, 0)
    assert queue.try_acquire() is False
    assert queue._withdraw(1, True) is False
    assert queue._begin() is None
    with pytest.raises(RuntimeError, match=r"^release\(\) without acquire\(\)$"):
        queue.release()
    with pytest.raises(AttributeError, match="_wait"):
        queue.acquire()
    assert queue._enqueue("waiter", 1, 0) == 1
    assert queue._stats() == (0, 0, 1, 0, 1, 0, 0, 0, 0.0)


def test_a_gate_that_is_not_set_up_lets_nobody_through(backend: ModuleType) -> None:
    gate = backend.RateGate()
    assert (gate.rate, gate.burst, gate.available) == (0.0, 0, 0)
    assert gate.try_acquire() is False
    assert gate.try_acquire(1000) is False
    assert gate._take() > 1e9
    with pytest.raises(AttributeError, match="_wait"):
        gate.acquire()
    assert gate._stats() == (0, 0)
    gate._set_rate(1.0, 2)
    assert gate.try_acquire(2) is True


USES: dict[str, Callable[[Any], object]] = {
    "begin": lambda breaker: breaker._begin(),
    "end": lambda breaker: breaker._end(0, "success"),
    "enter": lambda breaker: breaker.__enter__(),
    "exit": lambda breaker: breaker.__exit__(None, None, None),
    "aenter": lambda breaker: breaker.__aenter__(),
    "aexit": lambda breaker: breaker.__aexit__(None, None, None),
    "state": lambda breaker: breaker.state,
    "retry_after": lambda breaker: breaker.retry_after,
    "trip": lambda breaker: breaker.trip(),
    "reset": lambda breaker: breaker.reset(),
    "stats": lambda breaker: breaker._stats(),
}


@pytest.mark.parametrize("use", USES)
def test_a_breaker_that_is_not_set_up_says_so(backend: ModuleType, use: str) -> None:
    with pytest.raises(RuntimeError, match=r"^circuit breaker is not initialised$"):
        USES[use](backend.Breaker())


def test_methods_of_the_subclass_are_looked_up_when_they_are_needed(backend: ModuleType) -> None:
    queue = make_queue(backend, 1)
    queue._wait = lambda *args: ["own", *args]
    queue.try_acquire()
    assert queue.acquire(2, priority=3, deadline=4) == ["own", 2, 3, 4]
    assert queue.__aenter__() == ["own", 1, 0, None]


def test_blocks_do_not_care_what_acquire_and_release_became(backend: ModuleType) -> None:
    class Sub(backend.WaiterQueue):  # type: ignore[misc,name-defined]  # of either backend
        def acquire(self, *args: object, **options: object) -> Any:
            raise AssertionError

        release = try_acquire = acquire

    queue = Sub()
    queue._init(1)
    with queue:
        assert queue.in_use == 1

    async def main() -> None:
        async with queue:
            assert queue.in_use == 1

    asyncio.run(main())
    assert queue.in_use == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_subclass_may_have_methods_and_attributes_of_any_other_name(
    backend: ModuleType, name: str
) -> None:
    """The backends keep out of each other's way: one has names that the other has not."""
    allowed = {"_core", "_blocks"}  # the state of the twins
    known = set(dir(backend.Cache)) | set(dir(object)) | {"__slots__", "__annotations__"}
    own = {name for name in vars(getattr(backend, name)) if name not in known} - allowed
    other = load_backend("pure" if backend.__name__.endswith("native") else BACKENDS[0])
    assert own <= set(vars(getattr(other, name)))


@pytest.mark.parametrize("name", NAMES)
def test_a_cycle_through_the_timer_is_collected(backend: ModuleType, name: str) -> None:
    class Timer(Clock):
        owner: object = None

    timer = Timer()
    timer.owner = MAKERS[name](backend, timer)
    reference = weakref.ref(timer)
    del timer
    gc.collect()
    assert reference() is None


def test_a_cycle_through_a_waiter_is_collected(backend: ModuleType) -> None:
    class Waiter:
        def __init__(self, queue: object) -> None:
            self.queue = queue

    queue = make_queue(backend, 1, "priority")
    queue.try_acquire()
    waiters = [Waiter(queue) for _ in range(10)]
    for priority, waiter in enumerate(waiters):
        queue._enqueue(waiter, 1, priority % 3)
    references = [weakref.ref(waiter) for waiter in waiters] + [weakref.ref(queue)]
    del queue, waiters, waiter
    gc.collect()
    assert [reference() for reference in references] == [None] * 11


def test_a_queue_lets_go_of_whom_it_does_not_need(backend: ModuleType) -> None:
    class Waiter:
        pass

    queue = make_queue(backend, 1, max_waiting=2)
    queue.acts["wake"] = lambda queue, waiters: queue.told.clear()

    def enqueue() -> tuple[int, Callable[[], object]]:
        waiter = Waiter()
        return queue._enqueue(waiter, 1, 0), weakref.ref(waiter)

    ticket, reference = enqueue()
    assert ticket == 0
    assert reference() is None
    first, granted = enqueue()
    second, withdrawn = enqueue()
    refused, reference = enqueue()
    assert refused == -1
    assert reference() is None
    assert granted() is not None
    assert withdrawn() is not None
    assert queue._withdraw(second, False)
    assert withdrawn() is None
    queue.release()
    assert granted() is None
    assert not queue._withdraw(first, False)


def test_a_waiter_may_use_the_queue_when_it_dies(backend: ModuleType) -> None:
    class Waiter:
        def __init__(self, queue: Any) -> None:
            self.queue = queue

        def __del__(self) -> None:
            died.append(self.queue.waiting)
            self.queue.try_acquire()
            self.queue._enqueue("other", 1, 0)

    died: list[int] = []
    queue = make_queue(backend, 1)
    queue.try_acquire()
    ticket = queue._enqueue(Waiter(queue), 1, 0)
    queue._withdraw(ticket, True)
    gc.collect()
    assert died == [0]
    assert queue.waiting == 1
    queue._init(1)
    assert queue.waiting == 0


@pytest.mark.parametrize("take", [copy.copy, copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize("name", NAMES)
def test_none_of_them_is_copied_or_pickled(
    backend: ModuleType, name: str, take: Callable[[object], object]
) -> None:
    for one in (getattr(backend, name)(), MAKERS[name](backend)):
        with pytest.raises(TypeError, match=r"^cannot pickle '.*' object"):
            take(one)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", NAMES)
def test_no_pickle_protocol_takes_them(backend: ModuleType, name: str, protocol: int) -> None:
    with pytest.raises(TypeError, match=r"^cannot pickle '.*' object"):
        pickle.dumps(getattr(backend, name)(), protocol)


TIMED: dict[str, list[Callable[[Any], object]]] = {
    "WaiterQueue": [
        lambda queue: queue.release(),
        lambda queue: queue._enqueue("waiter", 1, 0),
        lambda queue: queue._withdraw(1, True),
        lambda queue: queue.resize(5),
    ],
    "RateGate": [
        lambda gate: gate.try_acquire(),
        lambda gate: gate.acquire(),
        lambda gate: gate._take(),
        lambda gate: gate.available,
        lambda gate: gate._set_rate(5.0, 5),
    ],
    "Breaker": [
        lambda breaker: breaker._begin(),
        lambda breaker: breaker._end(0, "failure"),
        lambda breaker: breaker.__enter__(),
        lambda breaker: breaker.trip(),
        lambda breaker: breaker.state,
        lambda breaker: breaker._stats(),
    ],
}


@pytest.mark.parametrize("name", NAMES)
def test_an_operation_whose_timer_fails_does_nothing(backend: ModuleType, name: str) -> None:
    failures: list[Exception] = []

    def timer() -> Any:
        if failures:
            raise failures.pop()
        return 0.0

    one = MAKERS[name](backend, timer)
    if name == "WaiterQueue":
        one.try_acquire()
        one._enqueue("waiter", 1, 0)
    before = one._stats()
    for call in TIMED[name]:
        failures.append(LookupError("no time"))
        with pytest.raises(LookupError, match="no time"):
            call(one)
        assert one._stats() == before
    assert one.told == []


@pytest.mark.parametrize(
    ("reading", "error", "message"),
    [
        ("1", TypeError, "timer must return a float, got str"),
        (None, TypeError, "timer must return a float, got NoneType"),
        (float("nan"), ValueError, "timer must return a finite number of seconds, got nan"),
        (1e10, ValueError, "timer must return a finite number of seconds, got 10000000000.0"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_a_timer_returns_seconds(
    backend: ModuleType, name: str, reading: Any, error: type[Exception], message: str
) -> None:
    one = MAKERS[name](backend, lambda: reading)
    with pytest.raises(error) as caught:
        TIMED[name][-2](one)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", NAMES)
def test_a_timer_may_use_what_it_is_the_timer_of(backend: ModuleType, name: str) -> None:
    asked: list[object] = []
    is_asking: list[bool] = []

    def timer() -> float:
        if not is_asking:
            is_asking.append(True)
            asked.append(one._stats())
            is_asking.clear()
        return 1.0

    one = MAKERS[name](backend, timer)
    for call in TIMED[name]:
        if name == "WaiterQueue":
            one.try_acquire()
        call(one)
    assert asked


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.usefixtures("interleaving")
def test_threads_of_the_parent_leave_nothing_locked_in_a_forked_child(backend: ModuleType) -> None:
    stop = Event()
    every = [MAKERS[name](backend) for name in NAMES]

    def use() -> None:
        queue, gate, breaker = every
        queue._withdraw(queue._enqueue("waiter", 1, 0), False)
        gate.try_acquire()
        breaker._end(breaker._begin(), "success")
        for one in every:
            one._stats()
            one.told.clear()

    def go_on() -> None:
        while not stop.is_set():
            use()

    assert every[0].try_acquire()
    threads = [spawn(go_on) for _ in range(3)]
    try:
        for _ in range(10):
            assert in_child(use)
    finally:
        stop.set()
    for thread in threads:
        thread.result()


@pytest.mark.usefixtures("interleaving")
def test_threads_never_hold_more_permits_than_there_are(backend: ModuleType) -> None:
    queue = make_queue(backend, 3, "priority")
    queue._sample(0.0001, 5)
    gates = [Event() for _ in range(400)]
    held: list[int] = []
    queue.acts["wake"] = lambda queue, gates: [gate.set() for gate in gates]

    def work(own: list[Event]) -> None:
        for number, gate in enumerate(own):
            if queue._enqueue(gate, 1 + number % 2, number % 3) > 0:
                assert gate.wait(LIMIT)
            queue._begin()
            held.append(queue.in_use)
            queue.release(1 + number % 2)

    for thread in [spawn(work, gates[at::4]) for at in range(4)]:
        thread.result()
    assert max(held) <= 3
    stats = queue._stats()
    assert stats[:4] == (3, 0, 0, 400)
