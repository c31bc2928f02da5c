"""WaiterQueue: how long permits are held, window by window."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.clock import Clock
from tests.permits import Crew, make_queue
from tests.threads import spawn


@pytest.fixture
def crew() -> Iterator[Crew]:
    crew = Crew()
    yield crew
    crew.close()


def sampled(
    backend: ModuleType, clock: Clock, interval: float = 1.0, samples: int = 1, limit: int = 100
) -> Any:
    queue = make_queue(backend, limit, timer=clock)
    queue._sample(interval, samples)
    return queue


def windows(queue: Any) -> list[tuple[Any, ...]]:
    """What was told of windows since the last look."""
    found = [args for what, *args in queue.told if what == "adapt"]
    queue.told.clear()
    return [tuple(args) for args in found]


def hold(queue: Any, clock: Clock, seconds: float, outcome: str = "success") -> None:
    """Hold a permit for so long."""
    assert queue.try_acquire()
    clock.advance(seconds)
    queue.release(outcome=outcome)


def test_nothing_is_measured_unless_it_is_asked_for(backend: ModuleType, clock: Clock) -> None:
    queue = make_queue(backend, 5, timer=clock)
    for _ in range(20):
        hold(queue, clock, 1.0)
    assert queue.told == []


def test_a_window_ends_when_it_is_old_and_full_enough(backend: ModuleType, clock: Clock) -> None:
    queue = sampled(backend, clock, interval=1.0, samples=3)
    for _ in range(3):
        hold(queue, clock, 0.25)
    assert windows(queue) == []  # 0.75 seconds old
    hold(queue, clock, 0.25)
    assert windows(queue) == [(4, 0, 0.25, 0.25, 0.25, 0.25, 1, 1.0)]
    hold(queue, clock, 2.0)
    hold(queue, clock, 2.0)
    assert windows(queue) == []  # two samples
    hold(queue, clock, 0.5)
    assert windows(queue) == [(3, 0, 2.0, 2.0, 1.5, 0.5, 1, 4.5)]


def test_a_window_begins_with_its_first_acquisition(backend: ModuleType, clock: Clock) -> None:
    queue = sampled(backend, clock, interval=1.0)
    clock.advance(100)
    hold(queue, clock, 1.0)
    clock.advance(100)
    hold(queue, clock, 2.0)
    assert [window[-1] for window in windows(queue)] == [1.0, 2.0]


def test_what_was_acquired_before_a_window_counts_only_from_its_begin(
    backend: ModuleType, clock: Clock, crew: Crew
) -> None:
    queue = sampled(backend, clock)
    crew.run(0, queue.try_acquire)
    crew.run(1, queue.try_acquire)
    clock.advance(2)
    crew.run(1, queue.release)
    assert len(windows(queue)) == 1
    # Its window is over, and no other has begun.
    crew.run(0, queue.release)
    assert windows(queue) == []
    crew.run(0, queue.try_acquire)
    clock.advance(3)
    crew.run(1, queue.try_acquire)
    clock.advance(1)
    crew.run(0, queue.release)
    assert windows(queue) == [(1, 0, 4.0, 4.0, 4.0, 4.0, 2, 4.0)]


def test_outcomes_say_what_counts(backend: ModuleType, clock: Clock) -> None:
    queue = sampled(backend, clock, interval=0.1, samples=3)
    hold(queue, clock, 8.0, "ignored")
    hold(queue, clock, 1.0, "success")
    hold(queue, clock, 2.0, "dropped")
    hold(queue, clock, 8.0, "ignored")
    assert windows(queue) == []
    hold(queue, clock, 6.0, "dropped")
    assert windows(queue) == [(3, 2, 2.0, 6.0, 3.0, 1.0, 1, 25.0)]


def test_a_block_says_by_its_error_how_it_went(backend: ModuleType, clock: Clock) -> None:
    queue = sampled(backend, clock, interval=0.1, samples=4)
    queue.acts["outcome"] = lambda queue, kind: "ignored" if kind is KeyError else "dropped"

    async def leave(error: Exception | None) -> None:
        async with queue:
            clock.advance(1)
            if error is not None:
                raise error

    for error in (None, KeyError(), ValueError()):
        with suppress(LookupError, ValueError), queue:
            clock.advance(1)
            if error is not None:
                raise error
        asyncio.run(hide(leave(error)))
    told = [args for args in queue.told if args[0] == "outcome"]
    assert told == [("outcome", KeyError)] * 2 + [("outcome", ValueError)] * 2
    assert windows(queue) == [(4, 2, 1.0, 1.0, 1.0, 1.0, 1, 6.0)]


async def hide(coroutine: Any) -> None:
    with suppress(LookupError, ValueError):
        await coroutine


@pytest.mark.parametrize("bad", ["failure", None, 3])
def test_a_permit_goes_back_whatever_is_said_of_the_error(
    backend: ModuleType, clock: Clock, bad: object
) -> None:
    queue = sampled(backend, clock, interval=0.1)

    def fail(queue: Any, kind: object) -> object:
        raise LookupError(kind)

    def say(queue: Any, kind: object) -> object:
        return queue if bad is None else bad

    for act, error in ((fail, LookupError), (say, ValueError)):
        queue.acts["outcome"] = act
        for leave in (queue.__exit__, queue.__aexit__):
            queue.try_acquire()
            clock.advance(1)
            with pytest.raises(error):
                leave(OSError, OSError(), None)
            assert queue.in_use == 0
    assert windows(queue) == []


def test_figures_are_those_of_the_nearest_ranks(backend: ModuleType) -> None:
    @given(st.lists(st.integers(0, 10**9), min_size=1, max_size=40))
    def check(latencies: list[int]) -> None:
        clock = Clock()
        queue = sampled(backend, clock, interval=1e-9, samples=len(latencies))
        for latency in latencies:
            clock.now = 0.0
            assert queue.try_acquire()
            clock.now = latency / 1e9
            queue.release(outcome="dropped")
        ranked = sorted(latencies)
        at = [math.ceil(q * len(ranked)) - 1 for q in (0.5, 0.9)]
        if not latencies[-1]:
            assert windows(queue) == []  # the window had no length
            return
        ((count, dropped, p50, p90, mean, minimum, peak, seconds),) = windows(queue)
        assert (count, dropped, peak) == (len(latencies), len(latencies), 1)
        assert (p50, p90) == (ranked[at[0]] / 1e9, ranked[at[1]] / 1e9)
        assert mean == pytest.approx(sum(ranked) / len(ranked) / 1e9)
        assert minimum == ranked[0] / 1e9
        assert seconds == latencies[-1] / 1e9

    check()


def test_percentiles_are_of_the_first_4096(backend: ModuleType, clock: Clock) -> None:
    queue = sampled(backend, clock, interval=0.1, samples=6000)
    # The 4096th makes it half of them that are at most one; with any of the rest it is fewer.
    for latency in [1.0] * 2047 + [2.0] * 2048 + [0.5] + [2.0] * 1903 + [0.25]:
        hold(queue, clock, latency)
    ((count, _, p50, p90, mean, minimum, _, seconds),) = windows(queue)
    assert (count, p50, p90, minimum) == (6000, 1.0, 2.0, 0.25)
    assert seconds == 2047 + 2 * 2048 + 0.5 + 2 * 1903 + 0.25
    assert mean == pytest.approx(seconds / 6000)


def test_the_peak_is_of_permits_in_use(backend: ModuleType, clock: Clock) -> None:
    queue = sampled(backend, clock, samples=4)
    for weight in (1, 3, 2):
        queue.try_acquire(weight)
    for weight in (3, 2, 1):
        queue.release(weight)
    clock.advance(1)
    hold(queue, clock, 0)
    assert [window[6] for window in windows(queue)] == [6]
    hold(queue, clock, 1)
    for _ in range(3):
        hold(queue, clock, 0)
    assert [window[6] for window in windows(queue)] == [1]


def test_a_task_gives_back_its_own(backend: ModuleType, clock: Clock, crew: Crew) -> None:
    queue = sampled(backend, clock, interval=0, samples=1)
    for task in range(3):
        crew.run(task, queue.try_acquire)
        clock.advance(1)
    latencies = []
    for task in (1, 0, 2):
        crew.run(task, queue.release)
        crew.run(9, queue.try_acquire)  # a window has to begin
        crew.run(9, lambda: queue.release(outcome="ignored"))
        latencies += [window[2] for window in windows(queue)]
    assert latencies == [2.0, 3.0, 1.0]


def test_nested_entries_end_in_reverse(backend: ModuleType, clock: Clock, crew: Crew) -> None:
    queue = sampled(backend, clock, interval=0, samples=3)
    for _ in range(3):
        crew.run(0, queue.try_acquire)
        clock.advance(1)
    for _ in range(2):
        crew.run(0, queue.release)
        clock.advance(10)
    assert windows(queue) == []
    crew.run(0, queue.release)
    ((*_, p50, p90, mean, minimum, peak, seconds),) = windows(queue)
    # The last one for a second, the one before for 2 + 10, the first for 3 + 20.
    assert (p50, p90, mean, minimum, peak, seconds) == (12.0, 23.0, 12.0, 1.0, 3, 23.0)


@pytest.mark.parametrize("other", [1, None])
def test_one_who_gives_back_for_another_samples_nothing(
    backend: ModuleType, clock: Clock, crew: Crew, other: int | None
) -> None:
    queue = sampled(backend, clock, interval=0)
    crew.run(0, queue.try_acquire)
    clock.advance(1)
    crew.run(0, queue.try_acquire)
    crew.run(2, queue.try_acquire)
    clock.advance(1)
    crew.run(other, queue.release)
    assert windows(queue) == []
    # The first start was dropped: each of these is one second old.
    crew.run(0, queue.release)
    assert [window[2] for window in windows(queue)] == [1.0]
    crew.run(7, queue.try_acquire)
    crew.run(2, queue.release)
    assert [window[2] for window in windows(queue)] == [1.0]


def test_starts_never_outnumber_permits(backend: ModuleType, clock: Clock, crew: Crew) -> None:
    queue = sampled(backend, clock, interval=0)
    for _ in range(100):
        crew.run(0, queue.try_acquire)
        clock.advance(1)
        crew.run(1, queue.release)
    crew.run(1, queue.try_acquire)
    # Had old starts been kept, the task would find one of its own.
    crew.run(0, queue.release)
    assert windows(queue) == []


def test_without_tasks_threads_are_told_apart(backend: ModuleType, clock: Clock) -> None:
    queue = sampled(backend, clock, interval=0)
    queue.try_acquire()
    clock.advance(1)
    spawn(queue.try_acquire).result()
    clock.advance(1)
    queue.release()
    assert [window[2] for window in windows(queue)] == [2.0]


def test_a_callback_of_a_loop_counts_as_the_thread(backend: ModuleType, clock: Clock) -> None:
    queue = sampled(backend, clock, interval=0)
    queue.try_acquire()
    clock.advance(1)
    loop = asyncio.new_event_loop()
    loop.call_soon(queue.release)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert [window[2] for window in windows(queue)] == [1.0]


def test_a_waiter_is_measured_from_its_grant_by_the_task_that_waits(
    backend: ModuleType, clock: Clock, crew: Crew
) -> None:
    queue = make_queue(backend, 1, timer=clock)
    queue._sample(0, 1)
    crew.run(0, queue.try_acquire)
    queue._enqueue("waiter", 1, 0)
    clock.advance(5)
    crew.run(0, lambda: queue.release(outcome="ignored"))
    assert crew.run(1, queue._begin) is None
    clock.advance(2)
    crew.run(1, queue.release)
    ((count, _, p50, *_, peak, seconds),) = windows(queue)
    # The window has begun with the first acquisition.
    assert (count, p50, peak, seconds) == (1, 2.0, 1, 7.0)


def test_enqueueing_notes_no_start(backend: ModuleType, clock: Clock) -> None:
    queue = sampled(backend, clock, interval=0)
    assert queue._enqueue("waiter", 1, 0) == 0
    queue.release()
    assert windows(queue) == []


def test_beginning_without_sampling_does_nothing(backend: ModuleType) -> None:
    queue = make_queue(backend, 1)
    assert queue._begin() is None


def test_waiters_are_woken_before_the_figures_are_told(backend: ModuleType, clock: Clock) -> None:
    queue = make_queue(backend, 1, timer=clock)
    queue._sample(0, 1)
    queue.try_acquire()
    queue._enqueue("waiter", 1, 0)
    queue.release()
    assert [what for what, *_ in queue.told] == ["wake", "adapt"]


TROUBLE: dict[str, Callable[..., object]] = {
    "resize": lambda queue, *figures: queue.resize(7),
    "use": lambda queue, *figures: queue.try_acquire() and queue.release(outcome="ignored"),
    "sample": lambda queue, *figures: queue._sample(5, 5),
}


@pytest.mark.parametrize("act", TROUBLE)
def test_whoever_is_told_may_use_the_queue(backend: ModuleType, clock: Clock, act: str) -> None:
    queue = sampled(backend, clock, interval=0)
    queue.acts["adapt"] = TROUBLE[act]
    hold(queue, clock, 1)
    assert len(windows(queue)) == 1
    assert queue.in_use == 0
    assert queue.limit == (7 if act == "resize" else 100)


def test_figures_are_told_though_waking_failed(backend: ModuleType, clock: Clock) -> None:
    queue = make_queue(backend, 1, timer=clock)
    queue._sample(0, 1)

    def wake(queue: Any, waiters: object) -> None:
        raise LookupError(waiters)

    queue.acts["wake"] = wake
    queue.try_acquire()
    queue._enqueue("waiter", 1, 0)
    with pytest.raises(LookupError):
        queue.release()
    assert len(windows(queue)) == 1


def test_an_error_of_adapt_reaches_the_caller(backend: ModuleType, clock: Clock) -> None:
    queue = sampled(backend, clock, interval=0)

    def adapt(queue: Any, *figures: object) -> None:
        raise LookupError(figures)

    queue.acts["adapt"] = adapt
    with pytest.raises(LookupError):
        hold(queue, clock, 1)
    assert queue.in_use == 0
