"""Breaker as a context manager: who enters, and what is said of how it went."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from tests.clock import Clock
from tests.permits import Crew, make_breaker
from tests.threads import spawn


@pytest.fixture
def crew() -> Iterator[Crew]:
    crew = Crew()
    yield crew
    crew.close()


def run_sync(breaker: Any, error: BaseException | None = None) -> None:
    with breaker as entered:
        assert entered is None
        if error is not None:
            raise error


def run_async(breaker: Any, error: BaseException | None = None) -> None:
    async def main() -> None:
        async with breaker as entered:
            assert entered is None
            if error is not None:
                raise error

    asyncio.run(main())


RUN: dict[str, Callable[..., None]] = {"with": run_sync, "async with": run_async}

#: Blocks need no lease while all is well, unless they are measured: both ways have to do the same.
LEASED: list[dict[str, Any]] = [{}, {"slow_after": 1000.0}]


@pytest.fixture(params=LEASED, ids=["plain", "leased"])
def breaker(backend: ModuleType, clock: Clock, request: pytest.FixtureRequest) -> Any:
    return make_breaker(backend, timer=clock, count=9, **request.param)


def leave(breaker: Any, error: BaseException | None = None) -> None:
    breaker.__exit__(None if error is None else type(error), error, None)


@pytest.mark.parametrize("way", RUN)
def test_a_block_that_ends_well_is_a_success(breaker: Any, way: str) -> None:
    for _ in range(3):
        RUN[way](breaker)
    assert breaker._stats()[:4] == ("closed", 3, 0, 0)
    assert breaker.told == []


@pytest.mark.parametrize("way", RUN)
def test_the_subclass_says_what_an_error_means(breaker: Any, way: str) -> None:
    error = LookupError("x")
    for outcome, calls, failures in (("success", 1, 0), ("ignored", 1, 0), ("failure", 2, 1)):
        breaker.acts["outcome"] = lambda breaker, error, outcome=outcome: outcome
        with pytest.raises(LookupError) as caught:
            RUN[way](breaker, error)
        assert caught.value is error
        assert breaker.told[0] == ("outcome", error)
        breaker.told.clear()
        assert breaker._stats()[1:3] == (calls, failures)


@pytest.mark.parametrize("way", RUN)
def test_errors_open_it_and_keep_others_out(breaker: Any, clock: Clock, way: str) -> None:
    for _ in range(2):
        with pytest.raises(LookupError):
            RUN[way](breaker, LookupError())
    with pytest.raises(breaker.Refused) as caught:
        RUN[way](breaker)
    assert caught.value.args == (10.0,)
    clock.advance(10)
    RUN[way](breaker)
    assert breaker.state == "closed"
    told = [args for args in breaker.told if args[0] == "changed"]
    assert [new for _, _, new in told] == ["open", "half_open", "closed"]
    assert breaker._stats()[:4] == ("closed", 3, 2, 0)


@pytest.mark.parametrize("way", RUN)
def test_a_refusal_has_to_raise(breaker: Any, way: str) -> None:
    breaker.trip()
    breaker.acts["refuse"] = lambda breaker, seconds: 5
    with pytest.raises(RuntimeError, match=r"^_refuse\(\) did not raise$"):
        RUN[way](breaker)
    assert breaker._stats()[7] == 1


@pytest.mark.parametrize("way", RUN)
@pytest.mark.parametrize("bad", ["dropped", 3, "raise"])
def test_a_trial_frees_its_place_whatever_is_said_of_its_error(
    breaker: Any, clock: Clock, way: str, bad: object
) -> None:
    def outcome(breaker: Any, error: BaseException) -> object:
        if bad == "raise":
            raise KeyError(error)
        return bad

    breaker.acts["outcome"] = outcome
    breaker.trip()
    clock.advance(10)
    for _ in range(3):
        with pytest.raises(KeyError if bad == "raise" else ValueError) as caught:
            RUN[way](breaker, LookupError())
        if bad != "raise":
            message = f"outcome must be 'success', 'failure' or 'ignored', got {bad!r}"
            assert str(caught.value) == message
        assert breaker.state == "half_open"
    assert breaker._stats()[1] == 0


def test_a_cancelled_trial_frees_its_place(breaker: Any, clock: Clock) -> None:
    breaker.acts["outcome"] = lambda breaker, error: (
        "ignored" if isinstance(error, asyncio.CancelledError) else "failure"
    )
    breaker.trip()
    clock.advance(10)

    async def block(entered: asyncio.Event) -> None:
        async with breaker:
            entered.set()
            await asyncio.sleep(1000)

    async def main() -> None:
        entered = asyncio.Event()
        task = asyncio.create_task(block(entered))
        await entered.wait()
        with pytest.raises(breaker.Refused):
            breaker.__enter__()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with breaker:
            pass

    asyncio.run(main())
    assert breaker.state == "closed"


def test_blocks_of_several_tasks_end_in_any_order(
    backend: ModuleType, clock: Clock, crew: Crew
) -> None:
    breaker = make_breaker(backend, timer=clock, count=9, min_calls=9, slow_after=1.5)
    for task in range(3):
        crew.run(task, breaker.__enter__)
        clock.advance(1)
    slow = []
    for task in (1, 2, 0):
        before = breaker._stats()[3]
        crew.run(task, lambda: leave(breaker))
        slow.append(breaker._stats()[3] - before)
    assert slow == [1, 0, 1]


def test_nested_blocks_end_in_reverse(backend: ModuleType, clock: Clock, crew: Crew) -> None:
    breaker = make_breaker(backend, timer=clock, count=9, min_calls=9, slow_after=1.5)
    crew.run(0, breaker.__enter__)
    clock.advance(1)
    crew.run(0, breaker.__enter__)
    clock.advance(1)
    crew.run(0, lambda: leave(breaker))
    assert breaker._stats()[1:4] == (1, 0, 0)
    crew.run(0, lambda: leave(breaker))
    assert breaker._stats()[1:4] == (2, 0, 1)


def test_threads_are_told_apart(backend: ModuleType, clock: Clock) -> None:
    breaker = make_breaker(backend, timer=clock, count=9, min_calls=9, slow_after=1.5)
    breaker.__enter__()
    clock.advance(1)
    spawn(breaker.__enter__).result()
    clock.advance(1)
    leave(breaker)
    assert breaker._stats()[1:4] == (1, 0, 1)


def test_a_block_of_an_older_state_is_ignored(breaker: Any, clock: Clock, crew: Crew) -> None:
    for task in range(3):
        crew.run(task, breaker.__enter__)
    breaker.trip(1)
    crew.run(0, lambda: leave(breaker))
    clock.advance(1)
    crew.run(5, breaker.__enter__)
    assert breaker.state == "half_open"
    # One that failed would open it again, one that went well would close it.
    crew.run(1, lambda: leave(breaker, LookupError()))
    assert breaker.state == "half_open"
    crew.run(5, lambda: leave(breaker))
    assert breaker.state == "closed"
    crew.run(6, breaker.__enter__)
    crew.run(6, lambda: leave(breaker, LookupError()))
    crew.run(2, lambda: leave(breaker, LookupError()))
    assert breaker._stats()[:5] == ("closed", 2, 1, 0, 1)


def test_a_block_may_be_left_by_somebody_else(breaker: Any, crew: Crew) -> None:
    for number in range(100):
        crew.run(0, breaker.__enter__)
        crew.run(number % 3 + 1, lambda: leave(breaker))
    assert breaker._stats()[:4] == ("closed", 100, 0, 0)
    for _ in range(9):
        crew.run(0, breaker.__enter__)
        crew.run(1, lambda: leave(breaker, LookupError()))
        if breaker.state == "open":
            break
    assert breaker._stats()[:5] == ("open", 105, 5, 0, 9)


def test_a_trial_may_be_left_by_somebody_else(breaker: Any, clock: Clock, crew: Crew) -> None:
    breaker.trip(1)
    clock.advance(1)
    crew.run(0, breaker.__enter__)
    spawn(leave, breaker).result()
    assert breaker.state == "closed"


def test_of_several_blocks_the_first_is_left_by_somebody_else(
    backend: ModuleType, clock: Clock, crew: Crew
) -> None:
    breaker = make_breaker(backend, timer=clock, count=9, min_calls=9, slow_after=1.5)
    for task in range(3):
        crew.run(task, breaker.__enter__)
        clock.advance(1)
    slow = []
    for task in (9, 2, 9, 9):
        before = breaker._stats()[3]
        crew.run(task, lambda: leave(breaker))
        slow.append(breaker._stats()[3] - before)
    assert slow == [1, 0, 1, 0]
    assert breaker._stats()[1] == 3


def test_each_block_of_an_older_state_is_ignored_once(breaker: Any, crew: Crew) -> None:
    for task in range(3):
        crew.run(task, breaker.__enter__)
    breaker.trip()
    breaker.reset()
    crew.run(5, breaker.__enter__)
    for task in range(3):
        crew.run(task, lambda: leave(breaker, LookupError()))
    assert breaker._stats()[1] == 0
    crew.run(5, lambda: leave(breaker))
    assert breaker._stats()[1] == 1
    for calls in (2, 3):
        run_sync(breaker)
        assert breaker._stats()[1] == calls
    leave(breaker)
    assert breaker._stats()[1] == 3


def test_leaving_without_having_entered_does_nothing(breaker: Any) -> None:
    for error in (None, LookupError()):
        leave(breaker, error)
    assert breaker._stats() == ("closed", 0, 0, 0, 0, 0, 0, 0, 0)


def test_an_error_of_changed_in_a_block_costs_no_place(breaker: Any, clock: Clock) -> None:
    def fail(breaker: Any, old: str, new: str) -> None:
        raise KeyError(old, new)

    breaker.trip()
    clock.advance(10)
    breaker.acts["changed"] = fail
    with pytest.raises(KeyError):
        breaker.__enter__()
    breaker.__enter__()
    with pytest.raises(KeyError):
        leave(breaker)
    assert breaker.state == "closed"
