"""WaiterQueue: permits that are handed over to whoever waits first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from tests.clock import Clock
from tests.permits import make_queue


def full(backend: ModuleType, limit: int = 1, **options: Any) -> Any:
    """A queue whose permits are all held."""
    queue = make_queue(backend, limit, **options)
    for _ in range(limit):
        assert queue.try_acquire()
    return queue


def woken(queue: Any) -> list[object]:
    """Whom the queue woke since the last look, in order."""
    waiters = [waiter for what, *args in queue.told if what == "wake" for waiter in args[0]]
    queue.told.clear()
    return waiters


def test_permits_are_taken_and_given_back(backend: ModuleType) -> None:
    queue = make_queue(backend, 2)
    assert (queue.limit, queue.in_use, queue.available, queue.waiting) == (2, 0, 2, 0)
    assert queue.try_acquire() is True
    assert queue.try_acquire(weight=1) is True
    assert queue.try_acquire() is False
    assert (queue.limit, queue.in_use, queue.available, queue.waiting) == (2, 2, 0, 0)
    assert queue.release() is None
    assert (queue.in_use, queue.available) == (1, 1)
    assert queue.told == []


def test_a_free_permit_is_there_without_waiting(backend: ModuleType) -> None:
    async def main() -> None:
        queue = make_queue(backend, 1)
        assert type(queue.acquire()) is backend.Ready
        assert queue.in_use == 1
        queue.release()
        assert await queue.acquire() is None
        queue.release(1)
        async with queue as entered:
            assert entered is None
            assert queue.in_use == 1
        assert queue.in_use == 0
        assert queue.told == []

    asyncio.run(main())


def test_what_does_not_fit_waits(backend: ModuleType) -> None:
    queue = full(backend, 3)
    queue.acts["wait"] = lambda queue, *args: "awaitable"
    deadline = object()
    assert queue.acquire() == "awaitable"
    assert queue.acquire(2, priority=-5, deadline=deadline) == "awaitable"
    assert queue.__aenter__() == "awaitable"
    assert queue.told == [
        ("wait", 1, 0, None),
        ("wait", 2, -5, deadline),
        ("wait", 1, 0, None),
    ]
    assert queue._stats()[:4] == (3, 3, 0, 3)


def test_a_thread_blocks_for_what_does_not_fit(backend: ModuleType) -> None:
    queue = make_queue(backend, 1)
    queue.acts["block"] = lambda queue, *args: "something"
    with queue as entered:
        assert entered is None
        assert queue.in_use == 1
        assert queue.__enter__() is None
    assert queue.told == [("block", 1, 0, None)]
    assert queue.in_use == 0


def test_a_released_permit_goes_to_the_one_that_waits(backend: ModuleType) -> None:
    queue = full(backend)
    first, second = object(), object()
    tickets = [queue._enqueue(waiter, 1, 0) for waiter in (first, second)]
    assert tickets == [1, 2]
    assert queue.waiting == 2
    queue.release()
    assert queue.told == [("wake", [first])]
    assert (queue.in_use, queue.waiting) == (1, 1)
    queue.release()
    assert woken(queue) == [first, second]
    queue.release()
    assert woken(queue) == []
    assert (queue.in_use, queue.waiting) == (0, 0)


def test_nobody_overtakes_those_who_wait(backend: ModuleType) -> None:
    queue = full(backend, 2)
    queue._enqueue("heavy", 2, 0)
    queue.release()
    assert woken(queue) == []
    assert queue.available == 1
    # There would be a permit for each of these.
    assert queue.try_acquire() is False
    assert queue.acquire() is None
    assert queue.told.pop() == ("wait", 1, 0, None)
    assert queue._enqueue("light", 1, 0) == 2
    queue.release()
    assert woken(queue) == ["heavy"]
    assert queue.try_acquire() is False
    queue.release(2)
    assert woken(queue) == ["light"]


def test_a_permit_that_was_handed_over_is_held_before_its_waiter_runs(backend: ModuleType) -> None:
    queue = full(backend)
    queue._enqueue("waiter", 1, 0)
    seen: list[object] = []
    queue.acts["wake"] = lambda queue, waiters: seen.append((queue.in_use, queue.try_acquire()))
    queue.release()
    assert seen == [(1, False)]


def test_enqueueing_takes_what_has_become_free_meanwhile(backend: ModuleType) -> None:
    queue = make_queue(backend, 2)
    assert queue._enqueue("waiter", 2, 0) == 0
    assert (queue.in_use, queue.waiting) == (2, 0)
    assert queue.told == []
    assert queue._stats()[3:5] == (1, 0)


def test_tickets_are_never_used_again(backend: ModuleType) -> None:
    queue = full(backend)
    tickets = []
    for _ in range(5):
        tickets.append(queue._enqueue("waiter", 1, 0))
        assert queue._withdraw(tickets[-1], False) is True
        tickets.append(queue._enqueue("waiter", 1, 0))
        queue.release()
    assert tickets == list(range(1, 11))
    for ticket in tickets:
        assert queue._withdraw(ticket, False) is False


def test_a_full_queue_turns_away(backend: ModuleType) -> None:
    queue = full(backend, max_waiting=2)
    assert [queue._enqueue(name, 1, 0) for name in "abcd"] == [1, 2, -1, -1]
    assert queue.waiting == 2
    assert queue._stats() == (1, 1, 2, 1, 2, 2, 0, 0, 0.0)
    queue.release()
    assert queue._enqueue("e", 1, 0) == 3
    assert woken(queue) == ["a"]


def test_a_queue_without_room_still_lets_in_what_fits(backend: ModuleType) -> None:
    queue = make_queue(backend, 1, max_waiting=0)
    assert queue._enqueue("a", 1, 0) == 0
    assert queue._enqueue("b", 1, 0) == -1
    assert queue._stats()[5] == 1


def test_giving_back_what_is_not_held_is_an_error(backend: ModuleType) -> None:
    queue = make_queue(backend, 3)
    queue.try_acquire(2)
    for give_back in (lambda: queue.release(3), lambda: queue.release(3, outcome="ignored")):
        with pytest.raises(RuntimeError, match=r"^release\(\) without acquire\(\)$"):
            give_back()
    assert queue.in_use == 2
    queue.release(2)
    for give_back in (queue.release, lambda: queue.__exit__(None, None, None)):
        with pytest.raises(RuntimeError, match=r"^release\(\) without acquire\(\)$"):
            give_back()
    assert queue._stats() == (3, 0, 0, 1, 0, 0, 0, 0, 0.0)


WEIGHT_ERRORS = [
    ("1", TypeError, "weight must be an int, got str"),
    (1.0, TypeError, "weight must be an int, got float"),
    (None, TypeError, "weight must be an int, got NoneType"),
    (True, TypeError, "weight must be an int, got bool"),
    (0, ValueError, "weight must be >= 1, got 0"),
    (-3, ValueError, "weight must be >= 1, got -3"),
    (2**63, ValueError, f"weight must be <= {2**63 - 1}, got {2**63}"),
]


@pytest.mark.parametrize(("weight", "error", "message"), WEIGHT_ERRORS)
@pytest.mark.parametrize("method", ["acquire", "try_acquire", "release"])
def test_a_weight_is_a_whole_number(
    backend: ModuleType, method: str, weight: Any, error: type[Exception], message: str
) -> None:
    queue = make_queue(backend, 3)
    with pytest.raises(error) as caught:
        getattr(queue, method)(weight)
    assert str(caught.value) == message
    assert queue.in_use == 0


def test_a_weight_may_be_any_kind_of_int(backend: ModuleType) -> None:
    class Two:
        def __index__(self) -> int:
            return 2

    queue = make_queue(backend, 9)
    assert queue.try_acquire(2**63 - 1)
    queue.release(2**63 - 1)
    assert queue.try_acquire(Two())
    queue.acquire(Two())
    assert queue.in_use == 4
    queue.release(Two())
    assert queue.in_use == 2


def test_what_is_too_heavy_is_refused(backend: ModuleType) -> None:
    queue = make_queue(backend, 9)
    queue._set_max_weight(5)
    for method in (queue.acquire, queue.try_acquire):
        with pytest.raises(ValueError, match=r"^weight must be <= 5, got 6$"):
            method(6)
    assert queue.try_acquire(5)
    queue._set_max_weight(None)
    queue.release(5)
    assert queue.try_acquire(6)


PRIORITY_ERRORS = [
    ("1", TypeError, "priority must be an int, got str"),
    (None, TypeError, "priority must be an int, got NoneType"),
    (1.0, TypeError, "priority must be an int, got float"),
    (False, TypeError, "priority must be an int, got bool"),
    (2**63, ValueError, f"priority must have at most 64 bits, got {2**63}"),
    (-(2**63) - 1, ValueError, f"priority must have at most 64 bits, got {-(2**63) - 1}"),
]


@pytest.mark.parametrize(("priority", "error", "message"), PRIORITY_ERRORS)
def test_a_priority_is_a_whole_number_also_when_there_is_no_need_to_wait(
    backend: ModuleType, priority: Any, error: type[Exception], message: str
) -> None:
    queue = make_queue(backend, 3)
    with pytest.raises(error) as caught:
        queue.acquire(priority=priority)
    assert str(caught.value) == message
    assert queue.in_use == 0


def test_a_priority_may_have_64_bits(backend: ModuleType) -> None:
    class Three:
        def __index__(self) -> int:
            return 3

    queue = full(backend)
    for priority in (-(2**63), 2**63 - 1, Three()):
        queue.acquire(priority=priority)
    assert [priority for _, _, priority, _ in queue.told] == [-(2**63), 2**63 - 1, 3]


@pytest.mark.parametrize("outcome", ["failure", "", None, 1, b"success", ["success"]])
def test_there_are_three_outcomes(backend: ModuleType, outcome: Any) -> None:
    queue = full(backend, 3)
    for known in ("success", "dropped", "ignored"):
        queue.release(outcome=known)
        assert queue.try_acquire()
    with pytest.raises(ValueError) as caught:
        queue.release(outcome=outcome)
    message = f"outcome must be 'success', 'dropped' or 'ignored', got {outcome!r}"
    assert str(caught.value) == message
    assert queue.in_use == 3


LEAVE: dict[str, Callable[[Any], object]] = {
    "release": lambda queue: queue.release(),
    "withdraw": lambda queue: queue._withdraw(1, False),
    "resize": lambda queue: queue.resize(9),
    "exit": lambda queue: queue.__exit__(None, None, None),
    "aexit": lambda queue: queue.__aexit__(None, None, None),
}


@pytest.mark.parametrize("name", LEAVE)
def test_the_one_woken_may_use_the_queue_at_once(backend: ModuleType, name: str) -> None:
    queue = full(backend, 2)
    queue._enqueue("heavy", 3, 0)
    queue._enqueue("light", 1, 0)
    queue.release()

    def wake(queue: Any, waiters: list[str]) -> None:
        while queue.in_use:
            queue.release()
        assert queue._enqueue("other", 1, 0) == 0

    queue.acts["wake"] = wake
    LEAVE[name](queue)
    assert queue.in_use == 1
    assert queue.waiting == 0


#: How many permits are held after each of these, since they go to others.
HELD = {"release": 3, "withdraw": 2, "resize": 5, "exit": 3, "aexit": 3}


@pytest.mark.parametrize("name", LEAVE)
def test_an_error_of_wake_reaches_the_caller(backend: ModuleType, name: str) -> None:
    queue = full(backend, 2)
    queue._enqueue("heavy", 3, 0)
    queue._enqueue("light", 1, 0)
    queue.release()

    def wake(queue: Any, waiters: list[str]) -> None:
        raise LookupError(waiters)

    queue.acts["wake"] = wake
    with pytest.raises(LookupError):
        LEAVE[name](queue)
    # Permits are held as if the waiters had been woken.
    assert queue.in_use == HELD[name]


def test_figures_tell_what_happened(backend: ModuleType, clock: Clock) -> None:
    queue = full(backend, max_waiting=3, timer=clock)
    tickets = [queue._enqueue(name, 1, 0) for name in "abc"]
    assert queue._enqueue("d", 1, 0) == -1
    clock.advance(2)
    assert queue._withdraw(tickets[0], True)
    assert queue._stats() == (1, 1, 2, 1, 3, 1, 1, 0, 0.0)
    assert queue._withdraw(tickets[1], False)
    assert queue._stats() == (1, 1, 1, 1, 3, 1, 1, 1, 0.0)
    clock.advance(0.5)
    queue.release()
    assert queue._stats() == (1, 1, 0, 2, 3, 1, 1, 1, 2.5)
    assert not queue._withdraw(tickets[2], True)
    assert queue._stats() == (1, 1, 0, 2, 3, 1, 1, 1, 2.5)


def test_time_that_goes_back_was_no_wait(backend: ModuleType) -> None:
    clock = Clock(-3.0)
    queue = full(backend, timer=clock)
    for name in "ab":
        queue._enqueue(name, 1, 0)
    clock.advance(-5)
    queue.release()
    assert queue._stats()[8] == 0.0
    clock.advance(5.25)
    queue.release()
    assert queue._stats()[8] == 0.25


def test_without_a_timer_waits_are_measured_all_the_same(backend: ModuleType) -> None:
    queue = full(backend)
    queue._enqueue("a", 1, 0)
    queue.release()
    assert 0.0 < queue._stats()[8] < 20.0
