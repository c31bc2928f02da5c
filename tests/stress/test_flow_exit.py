"""The interpreter ends in silence, whatever of flow control is still in use."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from tests.permits import make_breaker, make_gate, make_queue
from tests.stress.harness import cases, in_child
from tests.stress.hostile import error_of
from tests.stress.leaks import Node
from tests.threads import LIMIT

from penstock import CircuitBreaker, Limiter, RateLimiter, _backend

if TYPE_CHECKING:
    from collections.abc import Callable

inside = threading.Event()


def slow(*arguments: object) -> Any:
    """Code of a user that goes on when the program is over, and wants the interpreter back then."""
    inside.set()
    for _ in range(100):
        time.sleep(0.002)
    return 1.0


def wake_slowly() -> None:
    queue = make_queue(_backend, 1)
    queue.acts["wake"] = slow
    queue.try_acquire()
    queue._enqueue("waiter", 1, 0)
    queue.release()


def adapt_slowly() -> None:
    queue = make_queue(_backend, 1)
    queue.acts["adapt"] = slow
    queue._sample(1e-9, 1)
    queue.try_acquire()
    queue.release()


def tell_slowly() -> None:
    queue = make_queue(_backend, 1)
    queue.acts["outcome"] = slow
    queue.try_acquire()
    queue.__exit__(ValueError, ValueError(), None)


def wait_slowly() -> None:
    queue = make_queue(_backend, 1)
    queue.acts["wait"] = slow
    queue.try_acquire()
    queue.acquire(3, priority=1)


def block_slowly() -> None:
    queue = make_queue(_backend, 1)
    queue.acts["block"] = slow
    queue.try_acquire()
    queue.__enter__()


def change_slowly() -> None:
    breaker = make_breaker(_backend)
    breaker.acts["changed"] = slow
    breaker.trip()


def refuse_slowly() -> None:
    breaker = make_breaker(_backend)
    breaker.acts["refuse"] = slow
    breaker.trip()
    breaker._begin()


def end_slowly() -> None:
    breaker = make_breaker(_backend)
    breaker.acts["outcome"] = slow
    breaker.__enter__()
    breaker.__exit__(ValueError, ValueError(), None)


def wait_for_ever(limiter: Any) -> None:
    limiter.try_acquire()
    inside.set()
    with limiter:
        raise AssertionError


async def wait_in_a_loop(limiter: Any) -> None:
    limiter.try_acquire()
    asyncio.get_running_loop().call_soon(inside.set)
    async with limiter:
        raise AssertionError


def sleep_for_ever() -> None:
    inside.set()
    _backend.Parker().sleep()


def wait_again_and_again() -> None:
    parker = _backend.Parker()
    while True:
        inside.set()
        parker.wait(0.0005)


def encode_again_and_again() -> None:
    from penstock.metrics import Counter, generate_latest

    family = Counter("exits", "Series to write.", ["number"])
    for number in range(1000):
        family.labels(number)
    while True:
        inside.set()
        generate_latest()


SLOW: dict[str, Callable[[], object]] = {
    "_wake": wake_slowly,
    "_adapt": adapt_slowly,
    "_outcome": tell_slowly,
    "_wait": wait_slowly,
    "_block": block_slowly,
    "_changed": change_slowly,
    "_refuse": refuse_slowly,
    "_outcome of a breaker": end_slowly,
    "timer of a queue": lambda: make_queue(_backend, 1, timer=slow).resize(2),
    "timer of a gate": lambda: make_gate(_backend, 1.0, 1, slow).try_acquire(),
    "timer of a breaker": lambda: make_breaker(_backend, timer=slow).trip(),
    "sleep": sleep_for_ever,
    "waits": wait_again_and_again,
    "pages": encode_again_and_again,
    "wait in a thread": lambda: wait_for_ever(Limiter(1)),
    "wait for the rate": lambda: wait_for_ever(RateLimiter(1e-6)),
    "wait in a loop": lambda: asyncio.run(wait_in_a_loop(Limiter(1))),
    "wait for the rate in a loop": lambda: asyncio.run(wait_in_a_loop(RateLimiter(1e-6))),
}


@in_child
@cases("what", SLOW)
def test_program_ends_while_a_daemon_thread_is_in_there(what: str) -> None:
    threading.Thread(target=SLOW[what], daemon=True).start()
    assert inside.wait(LIMIT)
    time.sleep(0.01)


@in_child
def test_program_ends_while_threads_use_everything() -> None:
    sys.setswitchinterval(1e-5)
    limiter = Limiter.aimd(1.0, initial=2, interval=1e-3, samples=1)
    rate = RateLimiter(1e5, 10)
    breaker = CircuitBreaker(slow_after=1, open_for=1e-4, max_open_for=1e-3)
    begun = [threading.Event() for _ in range(4)]

    async def work_in_tasks() -> None:
        async def work() -> None:
            async with limiter, rate:
                await asyncio.sleep(0)

        await asyncio.gather(*[work() for _ in range(5)])

    def work(begun: threading.Event, number: int) -> None:
        while True:
            if number % 2:
                asyncio.run(work_in_tasks())
            else:
                with limiter, rate:
                    error_of(lambda: breaker.call(lambda: 1 / (number - 2)))
            begun.set()

    for number, event in enumerate(begun):
        threading.Thread(target=work, args=(event, number), daemon=True).start()
    assert all(event.wait(LIMIT) for event in begun)


class Last:
    """Something that uses flow control when it dies, which is when modules are already gone."""

    def __init__(self, limiter: Any, rate: Any, breaker: Any) -> None:
        self.parts = limiter, rate, breaker

    def __del__(self) -> None:
        limiter, rate, breaker = self.parts
        limiter.release()
        with limiter:
            rate.try_acquire()
            breaker._end(breaker._begin(), "failure")
        with breaker:
            limiter.stats
        breaker.trip(5)
        breaker.reset()


def keep(name: str, thing: object) -> None:
    """Keep something until the very end: modules are let go of last."""
    sys.modules[name] = thing  # type: ignore[assignment]


@in_child
@cases("how", ["kept", "in a cycle"])
def test_program_ends_with_what_uses_flow_control_when_it_dies(how: str) -> None:
    for number, limiter in enumerate((Limiter(1), Limiter.aimd(1.0, initial=1))):
        assert limiter.try_acquire()
        parts = limiter, RateLimiter(5), CircuitBreaker(slow_after=5)
        if how == "kept":
            keep(f"keeps_{number}", Last(*parts))
        else:
            node: Any = Node(last=Last(*parts))
            node.node = node


@in_child
def test_program_ends_inside_of_blocks() -> None:
    limiter, breaker = Limiter.gradient(), CircuitBreaker(slow_after=5)

    def generate() -> Any:
        with limiter, breaker, limiter.slot(2):
            yield

    generator = generate()
    next(generator)
    keep("keeps", generator)
