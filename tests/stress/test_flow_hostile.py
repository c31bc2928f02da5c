"""Flow control whose hooks, timers, waiters and arguments do something of their own."""

# What is defined in a round is used up in it; what there is to call may not be there.
# ruff: noqa: B023, PLW0108
from __future__ import annotations

import gc
import math
import sys
from itertools import product
from typing import TYPE_CHECKING, Any

from tests.clock import Clock
from tests.permits import make_breaker, make_gate, make_queue
from tests.stress.harness import cases, in_child, rounds
from tests.stress.hostile import Oops, Value, error_of
from tests.threads import spawn

from penstock import CircuitBreaker, Limiter, _backend

if TYPE_CHECKING:
    from collections.abc import Callable

INF, NAN, MOST = math.inf, math.nan, 2**63 - 1


class Stop(BaseException):
    """What no handler of errors expects."""


def crowded(waiting: int = 6, **options: Any) -> Any:
    """A queue with one permit, which is held, in front of which some wait."""
    queue = make_queue(_backend, 1, **options)
    assert queue.try_acquire()
    for number in range(waiting):
        assert queue._enqueue(number, 1, 0) == number + 1
    return queue


def drain(queue: Any) -> None:
    """Give everything back: nobody is forgotten, and nothing is lost."""
    queue.acts.clear()
    while queue.in_use:
        queue.release(queue.in_use)
    assert (queue.in_use, queue.waiting) == (0, 0)
    assert queue.try_acquire()
    queue.release()


def reenter(queue: Any) -> dict[str, Callable[[], object]]:
    """All that code may come to do to a queue in the middle of another operation on it."""
    return {
        "release": lambda: queue.in_use and queue.release(),
        "release another way": lambda: queue.in_use and queue.release(1, outcome="dropped"),
        "acquire": lambda: queue.try_acquire(),
        "acquire many": lambda: queue.acquire(5, priority=-1),
        "get in line": lambda: queue._enqueue("another", 2, -1),
        "leave": lambda: [queue._withdraw(ticket, True) for ticket in range(4)],
        "grow": lambda: queue.resize(queue.limit + 2),
        "shrink": lambda: queue.resize(1),
        "sample": lambda: queue._sample(1e-9, 1),
        "begin": lambda: queue._begin(),
        "figures": lambda: (queue._stats(), queue.available, queue.waiting),
        "set up": lambda: queue._init(2, timer=Clock()),
        "heaviest": lambda: queue._set_max_weight(3),
        "collect": gc.collect,
        "another thread": lambda: spawn(lambda: queue.in_use and queue.release()).result(),
        "fail": fail,
    }


def fail(*_: object) -> None:
    raise Oops


def operations(queue: Any) -> dict[str, Callable[[], object]]:
    """What calls the code of others."""
    return {
        "release": lambda: queue.release(),
        "release a block": lambda: queue.__exit__(Oops, Oops(), None),
        "release an async block": lambda: queue.__aexit__(Oops, Oops(), None),
        "leave": lambda: queue._withdraw(1, False),
        "resize": lambda: queue.resize(3),
        "get in line": lambda: queue._enqueue("new", 1, 0),
        "begin": lambda: queue._begin(),
        "set up": lambda: queue._init(1),
    }


@in_child
@cases("hook", ["wake", "adapt", "outcome", "timer", "del"])
def test_whatever_is_called_may_do_anything(hook: str) -> None:
    names = (reenter(None), operations(None))
    if hook == "del":
        del names[0]["fail"]  # what a finalizer raises is nobody's to catch
    used = dict.fromkeys(names[0], 0)
    for order, action, operation in product(("fifo", "lifo", "priority"), *names):
        case = order, action, operation
        clock = Clock()
        act: list[Callable[[], object]] = []

        def timer() -> float:
            if hook == "timer" and act:
                act.pop()()
            clock.advance(1.0)
            return clock.now

        queue = crowded(0, order=order, timer=timer)
        queue._sample(1e-9, 1)
        queue._begin()
        for number in range(6):
            waiter = Value(lambda: act and act.pop()()) if hook == "del" else number
            queue._enqueue(waiter, 1, 0)
            del waiter
        if hook in ("wake", "adapt", "outcome"):
            queue.acts = {hook: lambda *_: act.pop()() if act else None}
        # What dies when a list of waiters is forgotten.
        queue.acts.setdefault("wake", lambda queue, waiters: queue.told.clear())
        act.append(reenter(queue)[action])
        error = error_of(operations(queue)[operation])
        assert error is None or "re-entered" not in str(error), (case, error)
        assert error is None or isinstance(error, Oops | ValueError | RuntimeError), (case, error)
        used[action] += not act
        act.clear()
        drain(queue)
    assert all(used.values()), used


@in_child
def test_error_of_a_method_loses_no_permit() -> None:
    for method, error in product(("wake", "adapt", "outcome"), (Oops, Stop, KeyboardInterrupt)):

        def act(*_: object) -> None:
            raise error

        for leave in ("__exit__", "__aexit__"):
            queue = crowded(1)
            queue._sample(1e-9, 1)
            queue._begin()
            queue.acts = {method: act}
            raised = error_of(lambda: getattr(queue, leave)(Oops, Oops(), None))
            assert type(raised) is error
            assert (queue.in_use, queue.waiting) == (1, 0)  # his who waited
            drain(queue)


@in_child
def test_timer_that_fails_keeps_no_permit_of_a_block_that_is_over() -> None:
    failing: list[BaseException] = []

    def timer() -> float:
        if failing:
            raise failing[0]
        return 1.0

    for leave, sampled in product(("__exit__", "__aexit__"), (False, True)):
        queue = crowded(1, timer=timer)
        if sampled:
            queue._sample(1e-9, 1)
            queue._begin()
        failing.append(Stop())
        assert type(error_of(lambda: getattr(queue, leave)(None, None, None))) is Stop
        failing.clear()
        assert (queue.in_use, queue.waiting) == (1, 0)
        drain(queue)


@in_child
def test_timer_that_fails_keeps_no_trial_of_a_block_that_is_over() -> None:
    failing: list[BaseException] = []
    clock = Clock()

    def timer() -> float:
        if failing:
            raise failing[0]
        return clock.now

    for leave in ("__exit__", "__aexit__"):
        breaker = make_breaker(_backend, trial_calls=1, timer=timer)
        breaker.trip()
        clock.advance(100)
        breaker.__enter__()
        failing.append(Stop())
        assert type(error_of(lambda: getattr(breaker, leave)(None, None, None))) is Stop
        failing.clear()
        breaker._end(breaker._begin(), "success")
        assert breaker.state == "closed"


class Undecided(type):
    """A class of errors that raises when it is asked which errors are of it."""

    def __subclasscheck__(cls, other: type) -> bool:
        raise Stop


@in_child
def test_slot_gives_its_permits_back_whatever_the_error_is_said_to_be() -> None:
    class Odd(Exception, metaclass=Undecided):
        pass

    limiter = Limiter(5, dropped=(Odd,))

    def use(block: Any) -> None:
        with block:
            raise Oops

    for block in (limiter, limiter.slot(3)):
        assert type(error_of(lambda: use(block))) is Stop
        assert limiter.in_use == 0


@in_child
def test_call_ends_whatever_its_error_is_said_to_be() -> None:
    def on(error: Exception) -> bool:
        raise Stop

    def use(breaker: CircuitBreaker) -> None:
        with breaker:
            fail()

    async def fail_later() -> None:
        fail()

    def drive(coroutine: Any) -> None:
        coroutine.send(None)

    ways: dict[str, Callable[[CircuitBreaker], object]] = {
        "with": use,
        "call": lambda breaker: breaker.call(fail),
        "decorator": lambda breaker: breaker(fail)(),
        "call of a coroutine function": lambda breaker: drive(breaker.call(fail_later)),
        "decorator of a coroutine function": lambda breaker: drive(breaker(fail_later)()),
    }
    for way, call in ways.items():
        print(way)
        clock = Clock()
        breaker = CircuitBreaker(open_for=1, trial_calls=1, on=on, timer=clock)
        breaker.trip()
        clock.advance(2)
        assert type(error_of(lambda: call(breaker))) is Stop
        # The only trial call there may be.
        assert error_of(lambda: breaker.call(int)) is None
        assert breaker.state == "closed"


@in_child
def test_rate_is_kept_however_low_it_is() -> None:
    for rate, burst in product((1e-3, 1e-6, 1e-9, 1e-10, 1e-12, 1e-300, 5e-324), (1, 2, 20, 5000)):
        print(rate, burst)
        gate = make_gate(_backend, rate, burst, Clock(1000.0))
        assert sum([gate.try_acquire() for _ in range(burst + 20)]) == burst
        assert gate.available == 0
        assert gate._take() > 0.0
        gate._set_rate(rate, burst + 1)
        assert [gate.try_acquire(), gate.try_acquire()] == [True, False]
        gate._set_rate(1e12, burst)
        assert gate.available <= burst


@in_child
def test_clock_that_jumps() -> None:
    clock = Clock()
    queue = crowded(0, timer=clock)
    queue._sample(1e-9, 10)
    gate = make_gate(_backend, 1.0, 5, clock)
    breaker = make_breaker(_backend, count=None, seconds=1.0, slow_after=1.0, timer=clock)
    for turn in range(100):
        clock.now = (9e9, -9e9, 0.0, 1e-9, -4e8, 4e8, 9e9 - 1)[turn % 7]
        queue._enqueue(turn, 1, 0)
        clock.now = (-9e9, 9e9, 5.0)[turn % 3]
        queue.release()
        queue._begin()
        assert queue._stats()[-1] >= 0.0
        assert 0 <= gate.available <= 5
        assert error_of(lambda: gate._take(5)) is None
        with_breaker = error_of(lambda: breaker._end(breaker._begin(), "failure"))
        assert with_breaker is None or type(with_breaker) is breaker.Refused
        assert 0.0 <= breaker.retry_after <= 60.0
        assert breaker._stats()[4] <= breaker._stats()[1]
    for told in queue.told:
        if told[0] == "adapt":
            assert all(figure >= 0 for figure in told[1:])


@in_child
def test_waits_add_up_however_long_they_are() -> None:
    clock = Clock()
    queue = crowded(0, timer=clock)
    for number in range(1, 4):
        clock.now = 0.0
        queue._enqueue(number, 1, 0)
        clock.now = 9e9
        queue.release()
        assert queue._stats()[-1] >= min(number * 9e9, 1.8e10)


ODD_NUMBERS = [0, 1, -1, 2**31, 2**32, MOST, MOST + 1, 2**64 - 1, 2**64, 10**30, True, None, "1"]
ODD_FLOATS = [0.0, -1.0, 1e-12, 5e-324, 1e308, INF, -INF, NAN, None, "1"]


@in_child
def test_settings_that_nobody_checked_do_no_harm() -> None:
    def use(one: Any) -> None:
        for call in (
            lambda: one.try_acquire(), lambda: one.try_acquire(MOST), lambda: one.acquire(3),
            lambda: one._enqueue("x", MOST, -MOST), lambda: one.release(), lambda: one.available,
            lambda: one.resize(MOST), lambda: one._withdraw(1, True), lambda: one._take(),
            lambda: one._hold(-1), lambda: one._end(one._begin(), "failure"), lambda: one.trip(),
            lambda: one.retry_after, lambda: one._begin(), lambda: one.reset(),
            lambda: one._stats(),
        ):  # fmt: skip
            error = error_of(call)
            # Nothing that no handler of errors expects.
            assert error is None or isinstance(error, Exception), repr(error)
            assert "panicked" not in str(error)

    for number in ODD_NUMBERS:
        print(number)
        for arguments in ((number,), (1, "fifo", number), (5, "lifo", number)):
            queue = make_queue(_backend, 1)
            error_of(lambda: queue._init(*arguments))
            error_of(lambda: queue._set_max_weight(number))
            error_of(lambda: queue._sample(1e-9, number))
            use(queue)
    for rate, burst in product(ODD_FLOATS, ODD_NUMBERS):
        gate = make_gate(_backend, 1.0, 1)
        error_of(lambda: gate._init(rate, burst))
        use(gate)
        error_of(lambda: gate._set_rate(rate, burst))
        use(gate)
    floats = ["seconds", "failure_rate", "slow_rate", "slow_after", "lease", "jitter"]
    floats += ["open_seconds", "max_open_seconds"]
    odd = [(name, value) for name in floats for value in ODD_FLOATS]
    odd += [(name, value) for name in ("min_calls", "trial_calls", "seed") for value in ODD_NUMBERS]
    for name, value in odd:
        for timer in (None, Clock(9e9), Clock(-9e9)):
            options: dict[str, Any] = {name: value, "timer": timer}
            count = {"count": None} if name == "seconds" else {"count": 5}
            breaker = make_breaker(_backend)
            usual = {"seconds": None, "min_calls": 1, "failure_rate": 0.5, "slow_rate": 1.0}
            usual |= {"slow_after": None, "trial_calls": 1, "lease": 1.0, "open_seconds": 1.0}
            usual |= {"max_open_seconds": 5.0, "jitter": 0.5, "seed": 1}
            if error_of(lambda: breaker._init(**(usual | count | options))) is None:
                use(breaker)


@in_child
def test_heavy_weights() -> None:
    for order in ("fifo", "lifo", "priority"):
        queue = make_queue(_backend, MOST, order)
        assert queue.try_acquire(MOST)
        assert not queue.try_acquire()
        for number in range(5):
            assert queue._enqueue(number, MOST, -(2**63) if number % 2 else MOST) > 0
        queue.resize(1)
        while queue.waiting:
            queue.release(MOST)
        assert queue.in_use == MOST
        assert type(error_of(lambda: queue.release(MOST + 1))) is ValueError
        queue.release(MOST)
        assert type(error_of(lambda: queue.release(MOST))) is RuntimeError
        assert sorted(one for _, [one] in queue.told) == [0, 1, 2, 3, 4]


@in_child
def test_threads_and_a_collector_that_come_in_between_everywhere() -> None:
    sys.setswitchinterval(1e-6)
    gc.set_threshold(1, 1, 1)
    queue = make_queue(_backend, 3, "priority", timer=lambda: 1.0)
    queue._sample(1e-9, 3)
    gate = make_gate(_backend, 1e9, 3)
    breaker = make_breaker(_backend, slow_after=1.0, min_calls=3, open_seconds=1e-6)
    queue.acts["wake"] = lambda queue, waiters: [waiter.append(1) for waiter in waiters]

    def work(seed: int) -> int:
        held = 0
        for number in range(rounds(300)):
            waiter: list[object] = [Value(lambda: gate.try_acquire() and queue._stats())]
            waiter.append(waiter)
            ticket = queue._enqueue(waiter, 1 + (number + seed) % 3, number % 2)
            if not ticket or not queue._withdraw(ticket, bool(number % 2)):
                held += 1
                queue.release(1 + (number + seed) % 3, outcome="dropped")
            error_of(lambda: breaker.__enter__() or breaker.__exit__(Oops, Oops(), None))
            breaker.told.clear()
            queue.told.clear()
        return held

    threads = [spawn(work, seed) for seed in range(4)]
    assert sum([thread.result() for thread in threads]) == queue._stats()[3]
    assert (queue.in_use, queue.waiting) == (0, 0)
