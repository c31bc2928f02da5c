"""WaiterQueue: who is the first in line, and how many get in."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from tests.permits import make_queue


def line(backend: ModuleType, order: str, limit: int = 1) -> Any:
    """A queue whose permits are all held, as one weight."""
    queue = make_queue(backend, limit, order)
    assert queue.try_acquire(limit)
    return queue


def drain(queue: Any) -> list[object]:
    """Give back permits one by one until nobody waits, and return who was woken in which order."""
    while queue.waiting:
        queue.release()
    waiters = [waiter for what, *args in queue.told if what == "wake" for waiter in args[0]]
    queue.told.clear()
    return waiters


@pytest.mark.parametrize(
    ("order", "expected"), [("fifo", "abcdef"), ("lifo", "fedcba"), ("priority", "eadbfc")]
)
def test_the_order_says_who_is_next(backend: ModuleType, order: str, expected: str) -> None:
    queue = line(backend, order)
    for name, priority in zip("abcdef", [0, 1, 2, 0, -5, 1], strict=True):
        assert queue._enqueue(name, 1, priority) > 0
    assert drain(queue) == list(expected)


def test_the_order_is_fifo_if_nothing_is_said(backend: ModuleType) -> None:
    queue = make_queue(backend, 1)
    queue.try_acquire()
    for name, priority in zip("abc", [2, 1, 0], strict=True):
        queue._enqueue(name, 1, priority)
    assert drain(queue) == ["a", "b", "c"]


def test_priorities_may_be_as_far_apart_as_64_bits_allow(backend: ModuleType) -> None:
    queue = line(backend, "priority")
    for name, priority in zip("abcd", [2**63 - 1, 0, -(2**63), 1], strict=True):
        queue._enqueue(name, 1, priority)
    assert drain(queue) == ["c", "b", "d", "a"]


def test_many_priorities_leave_nothing_behind(backend: ModuleType) -> None:
    queue = line(backend, "priority")
    for number in range(2000):
        queue._enqueue(-number, 1, -number)
    assert drain(queue) == [-number for number in reversed(range(2000))]
    queue._enqueue("last", 1, 5)
    assert drain(queue) == ["last"]


def test_a_light_one_does_not_pass_a_heavy_one(backend: ModuleType) -> None:
    queue = line(backend, "fifo", 4)
    queue._enqueue("heavy", 3, 0)
    for name in "ab":
        queue._enqueue(name, 1, 0)
    queue.release(2)
    assert queue.told == []
    queue.release(1)
    assert queue.told == [("wake", ["heavy"])]
    assert queue.in_use == 4
    queue.release(2)
    assert queue.told == [("wake", ["heavy"]), ("wake", ["a", "b"])]


def test_what_is_heavier_than_the_limit_goes_alone(backend: ModuleType) -> None:
    queue = make_queue(backend, 2)
    assert queue.try_acquire(5)
    assert (queue.in_use, queue.available) == (5, 0)
    assert not queue.try_acquire()
    queue.release(5)
    assert queue.try_acquire()
    assert not queue.try_acquire(5)
    queue._enqueue("heavy", 7, 0)
    queue._enqueue("light", 1, 0)
    queue.release()
    assert queue.told == [("wake", ["heavy"])]
    assert queue.in_use == 7
    queue.release(6)
    assert len(queue.told) == 2
    queue.release(1)
    assert queue.in_use == 1


def test_withdrawing_the_first_lets_the_next_ones_in(backend: ModuleType) -> None:
    queue = make_queue(backend, 4)
    queue.try_acquire(2)
    ticket = queue._enqueue("heavy", 3, 0)
    for name in "abc":
        queue._enqueue(name, 1, 0)
    assert queue.told == []
    assert queue._withdraw(ticket, True) is True
    assert queue.told == [("wake", ["a", "b"])]
    assert (queue.in_use, queue.waiting) == (4, 1)


def test_withdrawing_another_one_changes_nothing_for_the_first(backend: ModuleType) -> None:
    queue = line(backend, "fifo", 2)
    queue._enqueue("heavy", 2, 0)
    tickets = [queue._enqueue(name, 1, 0) for name in "abc"]
    queue.release()
    assert queue._withdraw(tickets[1], False) is True
    assert queue.told == []
    queue.release()
    assert drain(queue) == ["heavy", "a", "c"]


@pytest.mark.parametrize("order", ["fifo", "lifo", "priority"])
def test_whoever_left_is_not_woken(backend: ModuleType, order: str) -> None:
    queue = line(backend, order)
    tickets = {name: queue._enqueue(name, 1, 0) for name in "abcde"}
    for name in "aec":
        assert queue._withdraw(tickets[name], False)
        assert not queue._withdraw(tickets[name], False)
    assert queue.waiting == 2
    assert sorted(drain(queue)) == ["b", "d"]


def test_the_last_one_to_leave_empties_the_line(backend: ModuleType) -> None:
    queue = line(backend, "priority")
    for priority in (1, 1, 2):
        assert queue._withdraw(queue._enqueue("a", 1, priority), False)
    assert queue.waiting == 0
    queue.release()
    assert queue.told == []
    assert queue.try_acquire()


def test_one_granted_before_it_left_keeps_its_permits(backend: ModuleType) -> None:
    queue = line(backend, "fifo")
    ticket = queue._enqueue("a", 1, 0)
    queue.release()
    assert queue._withdraw(ticket, False) is False
    assert queue.in_use == 1
    queue.release()
    assert queue.in_use == 0


def test_a_smaller_limit_takes_nothing_away(backend: ModuleType) -> None:
    queue = make_queue(backend, 4)
    for _ in range(4):
        queue.try_acquire()
    queue._enqueue("a", 1, 0)
    queue.resize(2)
    assert (queue.limit, queue.in_use, queue.available) == (2, 4, 0)
    for _ in range(2):
        queue.release()
        assert queue.told == []
        assert queue.available == 0
    queue.release()
    assert queue.told == [("wake", ["a"])]
    assert queue.in_use == 2


def test_a_larger_limit_lets_in_as_many_as_fit(backend: ModuleType) -> None:
    queue = line(backend, "fifo", 2)
    for name, weight in zip("abcd", [1, 2, 3, 1], strict=True):
        queue._enqueue(name, weight, 0)
    assert queue.resize(6) is None
    assert queue.told == [("wake", ["a", "b"])]
    assert (queue.in_use, queue.waiting) == (5, 2)
    queue.resize(100)
    assert queue.told[1:] == [("wake", ["c", "d"])]
    queue.resize(101)
    assert len(queue.told) == 2


@pytest.mark.parametrize(
    ("limit", "error", "message"),
    [
        (0, ValueError, "limit must be >= 1, got 0"),
        (-1, ValueError, "limit must be >= 1, got -1"),
        (2**63, ValueError, f"limit must be <= {2**63 - 1}, got {2**63}"),
        ("1", TypeError, "limit must be an int, got str"),
        (True, TypeError, "limit must be an int, got bool"),
        (1.0, TypeError, "limit must be an int, got float"),
    ],
)
def test_a_limit_is_a_whole_number(
    backend: ModuleType, limit: Any, error: type[Exception], message: str
) -> None:
    queue = make_queue(backend, 3)
    with pytest.raises(error) as caught:
        queue.resize(limit)
    assert str(caught.value) == message
    assert queue.limit == 3


def test_a_newcomer_that_is_the_first_in_line_and_fits_gets_in(backend: ModuleType) -> None:
    queue = make_queue(backend, 3, "lifo", max_waiting=1)
    queue.try_acquire(2)
    assert queue._enqueue("heavy", 2, 0) == 1
    assert queue.try_acquire() is False
    # It needs no place in the queue, which is full.
    assert queue._enqueue("light", 1, 0) == 0
    assert queue._enqueue("too late", 1, 0) == -1
    assert queue._stats() == (3, 3, 1, 2, 1, 1, 0, 0, 0.0)


@pytest.mark.parametrize(("priority", "expected"), [(4, 0), (5, 3), (6, 3), (8, 3)])
def test_a_newcomer_of_higher_priority_that_fits_gets_in(
    backend: ModuleType, priority: int, expected: int
) -> None:
    queue = make_queue(backend, 3, "priority")
    queue.try_acquire(2)
    assert queue._enqueue("heavy", 2, 5) == 1
    assert queue._enqueue("light", 1, 7) == 2
    assert queue._enqueue("newcomer", 1, priority) == expected


@pytest.mark.parametrize("order", ["lifo", "priority"])
def test_a_newcomer_that_is_the_first_in_line_but_heavy_waits(
    backend: ModuleType, order: str
) -> None:
    queue = line(backend, order, 3)
    queue._enqueue("a", 1, 0)
    assert queue._enqueue("b", 2, -1) == 2
    queue.release()
    assert queue.told == []
    queue.release()
    assert queue.told == [("wake", ["b"])]
