"""`CircuitBreaker` around coroutines: cancellation, timeouts, calls that hang or come late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.loading import HeldLoader, settle

from penstock.bench._virtual_loop import run
from penstock.errors import CircuitOpen, DeadlineExceeded
from penstock.flow._breaker import CircuitBreaker
from penstock.flow._deadline import deadline

Call = Callable[[CircuitBreaker, Callable[[], Coroutine[Any, Any, Any]]], Coroutine[Any, Any, Any]]


def decorated(breaker: CircuitBreaker, function: Any) -> Coroutine[Any, Any, Any]:
    @breaker
    async def call() -> Any:
        return await function()

    return call()


def called(breaker: CircuitBreaker, function: Any) -> Coroutine[Any, Any, Any]:
    async def call() -> Any:
        return await function()

    return breaker.call(call)


def called_late(breaker: CircuitBreaker, function: Any) -> Coroutine[Any, Any, Any]:
    # An object that returns something to await, and does not say so before.
    return breaker.call(lambda: function())  # noqa: PLW0108


async def entered(breaker: CircuitBreaker, function: Any) -> Any:
    async with breaker:
        return await function()


WAYS = pytest.mark.parametrize("way", [decorated, called, called_late, entered])

#: Without the one in which there is a coroutine already, which complains that nobody awaited it.
FRESH = pytest.mark.parametrize("way", [decorated, called, entered])


def small(**options: Any) -> CircuitBreaker:
    """Opens after two failures for ten seconds of the loop, and closes after one success."""
    settings: dict[str, Any] = {
        "window": 4, "min_calls": 2, "open_for": 10, "jitter": 0.0, "trial_calls": 1,
        "timer": asyncio.get_running_loop().time,
    }  # fmt: skip
    return CircuitBreaker(**(settings | options))


async def fail() -> None:
    await asyncio.sleep(0)
    raise OSError("down")


async def succeed() -> str:
    await asyncio.sleep(0)
    return "done"


async def hang() -> None:
    await asyncio.Event().wait()


@WAYS
def test_coroutines_go_through_until_it_opens(way: Call) -> None:
    async def main() -> None:
        breaker = small()
        for _ in range(4):
            assert await way(breaker, succeed) == "done"
        for _ in range(2):
            with pytest.raises(OSError, match="down"):
                await way(breaker, fail)
        assert breaker.state == "open"
        with pytest.raises(CircuitOpen):
            await way(breaker, succeed)
        await asyncio.sleep(10)
        assert await way(breaker, succeed) == "done"
        assert breaker.state == "closed"
        stats = breaker.stats()
        assert (stats.calls, stats.failures, stats.rejected) == (7, 2, 1)

    run(main())


@FRESH
def test_what_never_runs_does_not_count(way: Call) -> None:
    async def main() -> None:
        breaker = small()
        breaker.trip()
        await asyncio.sleep(10)
        for _ in range(3):
            way(breaker, hang).close()
        assert await way(breaker, succeed) == "done"
        assert breaker.state == "closed"

    run(main())


@pytest.mark.parametrize("state", ["closed", "half_open"])
@FRESH
def test_cancelled_at_any_step_it_counts_as_nothing(way: Call, state: str) -> None:
    async def work() -> str:
        for _ in range(5):
            await asyncio.sleep(0)
        return "done"

    async def main(step: int) -> bool:
        breaker = small(slow_after=0.5)
        if state == "half_open":
            breaker.trip()
            await asyncio.sleep(10)
        task = asyncio.ensure_future(way(breaker, work))
        await settle(step)
        was_done = task.done()
        task.cancel()
        await settle()
        if was_done:
            assert await task == "done"
            assert breaker.stats().calls == 1
            return True
        assert task.cancelled()
        assert breaker.stats().calls == 0
        assert breaker.state == state
        # Its place is free again: there is only one.
        assert await way(breaker, work) == "done"
        assert breaker.state == "closed"
        return False

    done = [run(main(step)) for step in range(12)]
    assert done == sorted(done)
    assert set(done) == {False, True}


@WAYS
def test_a_dropped_coroutine_frees_its_place(way: Call) -> None:
    async def main() -> None:
        breaker = small()
        breaker.trip()
        await asyncio.sleep(10)
        coroutine = way(breaker, hang)
        coroutine.send(None)
        with pytest.raises(CircuitOpen):
            await way(breaker, succeed)
        coroutine.close()
        assert breaker.stats().calls == 0
        assert await way(breaker, succeed) == "done"

    run(main())


class TestTimeouts:
    """Whose time it is that was over."""

    def judged(self, work: Callable[[CircuitBreaker], Coroutine[Any, Any, None]]) -> str:
        async def main() -> str:
            breaker = small()
            task = asyncio.ensure_future(work(breaker))
            await asyncio.sleep(5)
            task.cancel()
            with pytest.raises((TimeoutError, asyncio.CancelledError)):
                await task
            stats = breaker.stats()
            return "nothing" if stats.calls == 0 else "failure" if stats.failures else "success"

        return run(main())

    @WAYS
    def test_one_inside_is_a_failure(self, way: Call) -> None:
        async def work(breaker: CircuitBreaker) -> None:
            await way(breaker, lambda: asyncio.wait_for(hang(), 1))

        assert self.judged(work) == "failure"

    @WAYS
    def test_a_deadline_around_it_is_a_failure(self, way: Call) -> None:
        async def work(breaker: CircuitBreaker) -> None:
            with pytest.raises(DeadlineExceeded):
                async with deadline(1):
                    await way(breaker, hang)
            raise TimeoutError

        assert self.judged(work) == "failure"

    @WAYS
    def test_being_cancelled_is_nothing(self, way: Call) -> None:
        async def work(breaker: CircuitBreaker) -> None:
            await way(breaker, hang)

        assert self.judged(work) == "nothing"

    @WAYS
    def test_being_cancelled_before_the_deadline_is_nothing(self, way: Call) -> None:
        async def work(breaker: CircuitBreaker) -> None:
            async with deadline(100):
                await way(breaker, hang)

        assert self.judged(work) == "nothing"

    @WAYS
    def test_a_timeout_around_it_cancels_it(self, way: Call) -> None:
        async def work(breaker: CircuitBreaker) -> None:
            async with asyncio.timeout(1):
                await way(breaker, hang)

        assert self.judged(work) == "nothing"


class TestTrial:
    """Calls on trial that do not do what they should."""

    @WAYS
    def test_one_that_hangs_makes_room_after_a_while(self, way: Call) -> None:
        async def main() -> None:
            breaker = small(trial_timeout=30)
            breaker.trip()
            await asyncio.sleep(10)
            stuck = asyncio.ensure_future(way(breaker, hang))
            await settle()
            with pytest.raises(CircuitOpen, match="half open") as raised:
                await way(breaker, succeed)
            assert raised.value.retry_after == pytest.approx(10.0)
            await asyncio.sleep(30)
            assert breaker.state == "half_open"
            assert await way(breaker, succeed) == "done"
            assert breaker.state == "closed"
            stuck.cancel()
            await settle()
            assert breaker.stats().calls == 1

        run(main())

    @WAYS
    def test_the_result_of_one_that_lost_its_place_is_ignored(self, way: Call) -> None:
        async def main() -> None:
            breaker = small(trial_timeout=30, trial_calls=2)
            breaker.trip()
            await asyncio.sleep(10)
            held = HeldLoader()
            slow = [asyncio.ensure_future(way(breaker, held)) for _ in range(2)]
            await settle()
            await asyncio.sleep(31)
            assert await way(breaker, succeed) == "done"
            held.release()
            await asyncio.gather(*slow)
            # Three successes, of which one counts.
            assert breaker.state == "half_open"
            assert await way(breaker, succeed) == "done"
            assert breaker.state == "closed"

        run(main())

    @WAYS
    def test_no_more_than_allowed_run_at_a_time(self, way: Call) -> None:
        async def main() -> None:
            breaker = small(trial_calls=3)
            breaker.trip()
            await asyncio.sleep(10)
            held = HeldLoader()
            tasks = [asyncio.ensure_future(way(breaker, held)) for _ in range(10)]
            await settle()
            assert len(held.calls) == 3
            assert breaker.stats().rejected == 7
            held.release()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert sum(isinstance(each, CircuitOpen) for each in results) == 7
            assert breaker.state == "closed"

        run(main())


class TestGenerations:
    """What began in an earlier state decides nothing in a later one."""

    def late(self, end: Callable[[], Coroutine[Any, Any, Any]], way: Call) -> str:
        """The state, after calls from before it opened have ended while it is on trial."""

        async def main() -> str:
            breaker = small(slow_after=1000)
            gate = asyncio.Event()

            async def slow() -> None:
                await gate.wait()
                await end()

            tasks = [asyncio.ensure_future(way(breaker, slow)) for _ in range(5)]
            await settle()
            breaker.trip()
            await asyncio.sleep(10)
            trial = asyncio.ensure_future(way(breaker, hang))
            await settle()
            assert breaker.state == "half_open"
            gate.set()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert breaker.stats().calls == 0
            state = breaker.state
            trial.cancel()
            await settle()
            return state

        return run(main())

    @WAYS
    def test_late_successes_do_not_close_it(self, way: Call) -> None:
        assert self.late(succeed, way) == "half_open"

    @WAYS
    def test_late_failures_do_not_open_it_again(self, way: Call) -> None:
        assert self.late(fail, way) == "half_open"

    @WAYS
    def test_failures_of_before_it_closed_do_not_open_it(self, way: Call) -> None:
        async def main() -> None:
            breaker = small(slow_after=1000)
            gate = asyncio.Event()

            async def slow() -> None:
                await gate.wait()
                raise OSError

            tasks = [asyncio.ensure_future(way(breaker, slow)) for _ in range(5)]
            await settle()
            breaker.trip()
            await asyncio.sleep(10)
            assert await way(breaker, succeed) == "done"
            gate.set()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert breaker.state == "closed"
            assert breaker.stats().failures == 0

        run(main())
