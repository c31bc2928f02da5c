"""What takes part in flow control dies when nobody uses it, cycles included, and leaves nothing."""

# What is defined in a round is used up in it.
# ruff: noqa: B023
from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from typing import TYPE_CHECKING, Any

from tests.clock import Clock
from tests.permits import make_breaker, make_gate, make_queue
from tests.stress.harness import cases, collect, in_child
from tests.stress.hostile import Oops, error_of
from tests.stress.leaks import Node, check_dies

from penstock import AcquireTimeout, CircuitBreaker, Limiter, RateLimiter, _backend
from penstock.flow import aimd, fixed, gradient

if TYPE_CHECKING:
    from collections.abc import Callable


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
    error_of(one._stats)


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
        node: Any = Node(one=makers(None)[what]())
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

    def enqueue(name: int) -> None:
        node: Any = Node(name=name)
        node.node = node
        queue._enqueue(node, 1, 0)

    for number in range(5):
        enqueue(number)
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
    for policy in (lambda: fixed(3), lambda: aimd(0.1), gradient):

        def make() -> object:
            limiter: Any = type("Sub", (Limiter,), {})(policy())
            rate = RateLimiter(10, name="rate")
            breaker = CircuitBreaker(on_change=lambda *_: limiter)

            async def coroutine_function() -> object:
                return breaker

            limiter.functions = [
                limiter(breaker(rate(lambda: limiter))),
                limiter(rate(breaker(coroutine_function))),
            ]
            limiter.functions[0]()
            asyncio.run(limiter.functions[1]())
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
        limiter = Limiter(1)
        node: Any = Node()
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
