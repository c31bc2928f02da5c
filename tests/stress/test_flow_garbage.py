"""What takes part in flow control dies when nobody uses it, cycles included, and leaves nothing."""

# What is defined in a round is used up in it.
# ruff: noqa: B023
from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import weakref
from typing import TYPE_CHECKING, Any

from tests.clock import Clock
from tests.permits import make_breaker, make_gate, make_queue
from tests.stress.harness import cases, collect, in_child, rounds
from tests.stress.hostile import Oops, error_of
from tests.stress.leaks import Node, check_dies, check_no_growth
from tests.threads import LIMIT, spawn

from penstock import AcquireTimeout, CircuitBreaker, Limiter, RateLimiter, _backend
from penstock.flow import aimd, fixed, gradient

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = rounds(3_000)


class Timer(Clock):
    """A timer that one can hang things on."""

    owner: object = None


def makers(timer: Any) -> dict[str, Callable[[], Any]]:
    """Everything that takes the time from a timer."""
    return {
        "queue": lambda: make_queue(_backend, 1, timer=timer),
        "gate": lambda: make_gate(_backend, 1.0, 1, timer),
        "breaker": lambda: make_breaker(_backend, timer=timer),
        "Limiter": lambda: type("Sub", (Limiter,), {})(1, timer=timer),
        "adaptive Limiter": lambda: Limiter(aimd(1.0), timer=timer),
        "RateLimiter": lambda: RateLimiter(1e9, 5, timer=timer),
        "CircuitBreaker": lambda: CircuitBreaker(slow_after=1, timer=timer),
    }


def use(one: Any) -> None:
    """Go in and out, to the end of the means."""
    for error in (None, Oops()):
        with contextlib.suppress(Exception):
            one.__enter__()
            one.__exit__(error and Oops, error, None)
    error_of(lambda: one._stats())


@in_child
@cases("what", makers(None))
def test_cycle_through_the_timer(what: str) -> None:
    def make() -> object:
        timer = Timer()
        timer.owner = makers(timer)[what]()
        use(timer.owner)
        return timer

    check_dies(make)


@in_child
@cases("what", ["queue", "gate", "breaker", "Limiter"])
def test_cycle_through_the_dict_of_a_subclass(what: str) -> None:
    def make() -> object:
        node = Node(one=makers(None)[what]())
        node.one.itself = [node.one, node]
        use(node.one)
        return node

    check_dies(make)


@in_child
@cases("order", ["fifo", "lifo", "priority"])
def test_cycle_through_those_who_wait(order: str) -> None:
    def make() -> object:
        queue = make_queue(_backend, 1, order)
        queue.try_acquire()
        first = Node(queue=queue)
        for number in range(20):
            queue._enqueue(Node(queue=queue, first=first), 1, number % 3)
            queue._enqueue(first, 1, 1)
        queue._withdraw(2, False)
        # Woken: it is in what the queue was told.
        queue.release()
        return first

    check_dies(make)


@in_child
def test_queue_in_the_middle_of_a_grant_keeps_alive_whom_it_wakes() -> None:
    queue = make_queue(_backend, 1)
    queue.try_acquire()
    alive: list[object] = []

    def wake(_: object, waiters: list[Any]) -> None:
        queue.told.clear()
        collect()
        alive.extend(waiter.name for waiter in waiters)

    queue.acts["wake"] = wake
    for number in range(5):
        node = Node(name=number)
        node.node = node
        queue._enqueue(node, 1, 0)
    del node
    collect()
    queue.resize(6)
    assert alive == [0, 1, 2, 3, 4]


@in_child
def test_waiters_of_a_loop_that_is_closed_die_with_it() -> None:
    for make_limiter in (lambda: Limiter(1), lambda: Limiter(gradient(initial=1)), slow_rate):
        limiter = make_limiter()
        assert limiter.try_acquire()

        def make() -> object:
            loop = asyncio.new_event_loop()
            node = Node(loop=loop)

            async def wait() -> None:
                with contextlib.suppress(GeneratorExit):
                    async with limiter:
                        raise AssertionError(node)

            for _ in range(3):
                task = loop.create_task(wait())
                task._log_destroy_pending = False  # type: ignore[attr-defined]
            loop.run_until_complete(asyncio.sleep(0))
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()
            return node

        node = make()
        died = weakref.ref(node)
        assert limiter.waiting == 3
        # Whom nobody wakes any more is in line as long as it is not collected.
        del node
        if isinstance(limiter, Limiter):
            limiter.release()
        collect()
        assert limiter.waiting == 0
        collect()
        assert died() is None
        if isinstance(limiter, Limiter):
            assert limiter.in_use == 0


def slow_rate() -> Any:
    return RateLimiter(1e-3)


@in_child
def test_limiters_and_what_they_decorate_die() -> None:
    for policy in (lambda: fixed(3), lambda: aimd(0.1), lambda: gradient()):

        def make() -> object:
            limiter = type("Sub", (Limiter,), {})(policy())
            rate = RateLimiter(10, name="rate")
            breaker = CircuitBreaker(on_change=lambda *_: limiter)

            @limiter
            @breaker
            @rate
            def function() -> object:
                return limiter

            @limiter
            @rate
            @breaker
            async def coroutine_function() -> object:
                return breaker

            limiter.functions = function, coroutine_function
            function()
            asyncio.run(coroutine_function())
            breaker.trip()
            return limiter

        check_dies(make)


@in_child
def test_policy_may_serve_another_limiter_when_its_own_has_died() -> None:
    policy = aimd(1.0)
    for _ in range(3):
        limiter = Limiter(policy)
        assert type(error_of(lambda: Limiter(policy))) is ValueError
        del limiter
        collect()


@in_child
def test_errors_keep_nothing_alive() -> None:
    def make() -> object:
        limiter, node = Limiter(1), Node()
        breaker = CircuitBreaker(window=1)

        async def main() -> None:
            async with limiter:
                with contextlib.suppress(AcquireTimeout):
                    async with limiter.slot(deadline=0.001):
                        raise AssertionError(node)
                with contextlib.suppress(AcquireTimeout):
                    await limiter.acquire(deadline=0)
            for _ in range(3):
                with contextlib.suppress(Exception):
                    async with breaker:
                        raise ValueError(node)

        asyncio.run(main())
        node.parts = limiter, breaker
        return node

    gc.disable()
    gc.freeze()
    node = make()
    died = weakref.ref(node)
    del node
    assert died() is None, "only the collector finds it"


BLOCKS: dict[str, Callable[[], Any]] = {
    "limiter": lambda: Limiter(3),
    "adaptive limiter": lambda: Limiter(aimd(1.0, interval=0.001)),
    "slot": lambda: Limiter(3).slot(2),
    "slot of an adaptive limiter": lambda: Limiter(aimd(1.0, interval=0.001)).slot(2),
    "breaker": lambda: CircuitBreaker(),
    "breaker that measures": lambda: CircuitBreaker(slow_after=5),
    "breaker that forgets": lambda: CircuitBreaker(window_seconds=1, failure_rate=1),
    "rate": lambda: RateLimiter(1e9, 1000),
}


def fail() -> None:
    raise Oops


@in_child
@cases("what", BLOCKS)
def test_blocks_in_a_thread_leave_nothing(what: str) -> None:
    block = BLOCKS[what]()

    def run(calls: int) -> None:
        for number in range(calls):
            with block:
                pass
            with contextlib.suppress(Oops), block:
                number % 3 or fail()

    # Nothing else is called of it: what would tidy up, as `stats()`, may never be.
    check_no_growth(lambda calls: spawn(run, calls).result(), CALLS)


@in_child
@cases("what", BLOCKS)
def test_blocks_in_tasks_leave_nothing(what: str) -> None:
    block = BLOCKS[what]()

    async def main(calls: int) -> None:
        for number in range(calls):
            async with block:
                pass
            with contextlib.suppress(Oops):
                async with block:
                    number % 3 or fail()

    check_no_growth(lambda calls: asyncio.run(main(calls)), CALLS)


@in_child
def test_waits_leave_nothing() -> None:
    for limiter in (Limiter(1), Limiter(1, order="priority"), Limiter(aimd(1.0, initial=1))):

        async def wait(number: int) -> None:
            deadline = (None, 60.0, 0, 1e-6)[number % 4]
            with contextlib.suppress(AcquireTimeout):
                async with limiter.slot(deadline=deadline, priority=number % 5):
                    await asyncio.sleep(0)

        async def main(calls: int) -> None:
            for _ in range(calls // 8):
                tasks = [asyncio.ensure_future(wait(number)) for number in range(8)]
                await asyncio.sleep(0)
                tasks[5].cancel()
                await asyncio.wait(tasks)

        check_no_growth(lambda calls: asyncio.run(main(calls)), CALLS)
        assert (limiter.in_use, limiter.waiting) == (0, 0)


@in_child
def test_what_is_taken_one_by_one_and_given_back_together_leaves_no_notes() -> None:
    limiter = Limiter(aimd(1.0, initial=10))

    def run(calls: int) -> None:
        for _ in range(calls):
            for _ in range(8):
                assert limiter.try_acquire()
            limiter.release(8)

    check_no_growth(run, rounds(20_000))


@in_child
def test_note_of_what_was_given_back_with_other_permits_is_forgotten() -> None:
    clock = Clock()
    queue = make_queue(_backend, 5, timer=clock)
    queue._sample(1.0, 1)
    for _ in range(3):
        queue.try_acquire()
    queue.release(3, outcome="ignored")
    clock.advance(1000)
    # Taken by one thread, given back by another: nobody knows for how long it was held.
    spawn(queue.try_acquire).result()
    queue.release()
    assert queue.told == []


@in_child
def test_calls_leave_no_leases() -> None:
    clock = Clock()
    breaker = make_breaker(_backend, count=5, slow_after=1.0, trial_calls=3, timer=clock)

    def run(calls: int) -> None:
        for number in range(calls):
            clock.advance(0.1)
            with contextlib.suppress(breaker.Refused):
                lease = breaker._begin()
                breaker._end(lease, ("success", "failure", "ignored", "success")[number % 4])
                breaker._end(lease, "success")  # once too often
            breaker.told.clear()

    check_no_growth(run, rounds(20_000))
    clock.advance(100)
    assert breaker._begin() < 10


@in_child
def test_errors_leave_nothing() -> None:
    queue = make_queue(_backend, 1, max_waiting=1)
    gate, breaker = make_gate(_backend, 1.0, 2), make_breaker(_backend)
    calls: list[Callable[[], object]] = [
        lambda: queue.release(),
        lambda: queue.release(10**30),
        lambda: queue.release(outcome=object()),
        lambda: queue.acquire("1"),
        lambda: queue.acquire(1, priority=10**30),
        lambda: queue.acquire(1, priority=object()),
        lambda: queue.try_acquire(bad=1),
        lambda: queue.resize(0),
        lambda: queue._init(1, max_waiting=object()),
        lambda: queue.__aexit__(Oops, Oops(), None),
        lambda: gate._take(3),
        lambda: gate.acquire(object()),
        lambda: gate.try_acquire(0),
        lambda: breaker._end(0, object()),
        lambda: breaker._end(None, "success"),
        lambda: breaker.trip(float("nan")),
        lambda: breaker.trip("x"),
        lambda: breaker.__aexit__(1, 2),
    ]
    queue.acts["outcome"] = lambda *_: fail()

    def run(count: int) -> None:
        for _ in range(count // 10):
            for call in calls:
                error_of(call)
            queue.told.clear()
            breaker.told.clear()

    check_no_growth(run, CALLS)


@in_child
def test_arguments_are_not_kept() -> None:
    class Thing:
        pass

    died: list[weakref.ref[object]] = []

    def thing() -> Any:
        one = Thing()
        died.append(weakref.ref(one))
        return one

    queue = make_queue(_backend, 1, max_waiting=0)
    queue._enqueue(thing(), 1, 0)
    queue._enqueue(thing(), 1, 0)
    queue.acquire(1, deadline=thing())
    error_of(lambda: queue.release(outcome=thing()))
    error_of(lambda: queue.__exit__(thing(), thing(), thing()))
    gate = make_gate(_backend, 1.0, 1)
    for _ in range(2):
        gate.acquire(deadline=thing())
        gate.__aexit__(thing(), thing(), thing())
    breaker = make_breaker(_backend)
    breaker.acts["outcome"] = lambda *_: "ignored"
    for _ in range(2):
        breaker.__enter__()
        breaker.__exit__(thing(), thing(), thing())
    for one in (queue, gate, breaker):
        one.told.clear()
    assert len(died) > 10
    assert [one() for one in died] == [None] * len(died)


@in_child
def test_threads_that_wait_and_end_leave_nothing() -> None:
    limiter, rate = Limiter(1), RateLimiter(1e6)

    def work(go: threading.Event) -> None:
        assert go.wait(LIMIT)
        for number in range(20):
            with contextlib.suppress(AcquireTimeout):
                with limiter.slot(deadline=(1e-6, 5)[number % 2]), rate:
                    pass

    def run(calls: int) -> None:
        for _ in range(calls // 80):
            go = threading.Event()
            threads = [spawn(work, go) for _ in range(4)]
            go.set()
            for thread in threads:
                thread.result()

    check_no_growth(run, CALLS)
    assert (limiter.in_use, limiter.waiting, rate.waiting) == (0, 0, 0)
