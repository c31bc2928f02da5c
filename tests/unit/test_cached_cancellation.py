"""Cancelled waiters: none takes another one along, and the last one ends the load."""

from __future__ import annotations

import asyncio

import pytest
from tests.loading import HeldLoader, settle

from penstock import cached

#: More steps than a call takes.
STEPS = range(12)


def tasks_left() -> int:
    """How many tasks there are beside the running one."""
    return len(asyncio.all_tasks()) - 1


@pytest.mark.parametrize("victim", [0, 1, 2])
def test_cancelled_waiter_takes_no_other_along(victim: int) -> None:
    async def main() -> None:
        held = HeldLoader()
        load = cached(held)
        waiters = [asyncio.ensure_future(load("a")) for _ in range(3)]
        await settle()
        waiters.pop(victim).cancel()
        await settle()
        held.release()
        assert await asyncio.gather(*waiters) == ["a 1", "a 1"]
        assert await load("a") == "a 1"
        assert held.cancelled == []

    asyncio.run(main())


def test_last_waiter_to_leave_cancels_the_load() -> None:
    async def main() -> None:
        held = HeldLoader()
        load = cached(held)
        waiters = [asyncio.ensure_future(load("a")) for _ in range(3)]
        await settle()
        for number, waiter in enumerate(waiters):
            assert held.cancelled == []
            assert tasks_left() == 4 - number
            waiter.cancel()
            await settle()
        assert held.cancelled == [1]
        assert tasks_left() == 0
        assert all(waiter.cancelled() for waiter in waiters)
        assert load.stats().loads == load.stats().load_failures == 0

    asyncio.run(main())


def test_call_after_a_cancelled_load_starts_anew() -> None:
    async def main() -> None:
        held = HeldLoader()
        load = cached(held)
        first = asyncio.ensure_future(load("a"))
        await settle()
        first.cancel()
        await settle()
        second = asyncio.ensure_future(load("a"))
        await settle()
        held.release(2)
        assert await second == "a 2"
        assert held.calls == ["a", "a"]

    asyncio.run(main())


def test_call_in_the_same_step_as_the_last_cancellation_starts_anew() -> None:
    async def main() -> None:
        held = HeldLoader()
        load = cached(held)
        first = asyncio.ensure_future(load("a"))
        await settle()
        first.cancel()
        second = asyncio.ensure_future(load("a"))
        await settle()
        held.release()
        assert await second in {"a 1", "a 2"}
        assert first.cancelled()

    asyncio.run(main())


def test_call_while_a_cancelled_load_cleans_up_starts_anew() -> None:
    async def main() -> None:
        calls, cleaned = [], asyncio.Event()

        @cached
        async def load(key: str) -> int:
            calls.append(key)
            number = len(calls)
            try:
                if number == 1:
                    await asyncio.Event().wait()
            finally:
                if number == 1:
                    await cleaned.wait()
            return number

        first = asyncio.ensure_future(load("a"))
        await settle()
        first.cancel()
        await settle()
        assert await load("a") == 2
        cleaned.set()
        await settle()
        assert await load("a") == 2
        assert tasks_left() == 0

    asyncio.run(main())


def test_load_that_refuses_to_be_cancelled_hurts_nobody() -> None:
    async def main() -> None:
        calls, go = [], asyncio.Event()

        @cached
        async def load(key: str) -> int:
            calls.append(key)
            number = len(calls)
            while number == 1 and not go.is_set():
                try:
                    await go.wait()
                except asyncio.CancelledError:
                    continue
            return number

        first = asyncio.ensure_future(load("a"))
        await settle()
        first.cancel()
        await settle()
        assert first.cancelled()
        assert await load("a") == 2
        go.set()
        await settle()
        assert tasks_left() == 0

    asyncio.run(main())


@pytest.mark.parametrize("step", STEPS)
def test_only_waiter_cancelled_at_any_step(step: int) -> None:
    async def main() -> None:
        events = []

        @cached
        async def load(key: str) -> str:
            events.append("begun")
            try:
                for _ in range(3):
                    await asyncio.sleep(0)
            except asyncio.CancelledError:
                events.append("cancelled")
                raise
            events.append("done")
            return key

        waiter = asyncio.ensure_future(load("a"))
        await settle(step)
        waiter.cancel()
        await settle()
        assert waiter.done()
        assert tasks_left() == 0
        assert events in ([], ["begun", "cancelled"], ["begun", "done"])
        assert ("a" in load.cache) is (events == ["begun", "done"])
        assert waiter.cancelled() or waiter.result() == "a"
        events.clear()
        stored = "a" in load.cache
        assert await load("a") == "a"
        assert events == ([] if stored else ["begun", "done"])

    asyncio.run(main())


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("victim", [0, 1])
def test_one_of_two_waiters_cancelled_at_any_step(victim: int, step: int) -> None:
    async def main() -> None:
        calls = []

        @cached
        async def load(key: str) -> str:
            calls.append(key)
            for _ in range(3):
                await asyncio.sleep(0)
            return key

        waiters = [asyncio.ensure_future(load("a")) for _ in range(2)]
        await settle(step)
        waiters.pop(victim).cancel()
        assert await waiters[0] == "a"
        assert calls == ["a"]
        await settle()
        assert tasks_left() == 0

    asyncio.run(main())


@pytest.mark.parametrize("step", STEPS)
def test_waiter_of_a_failing_load_cancelled_at_any_step(
    step: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        @cached
        async def load(key: str) -> str:
            for _ in range(3):
                await asyncio.sleep(0)
            raise ValueError(key)

        waiter = asyncio.ensure_future(load("a"))
        await settle(step)
        waiter.cancel()
        await settle()
        assert waiter.cancelled() or isinstance(waiter.exception(), ValueError)
        assert tasks_left() == 0
        with pytest.raises(ValueError, match="a"):
            await load("a")

    asyncio.run(main())
    # An error that nobody gets to see is not lost, and is not asyncio's to complain about.
    assert {record.name for record in caplog.records} <= {"penstock.caching"}


def test_error_of_a_load_whose_last_waiter_left_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        @cached
        async def load(key: str) -> str:
            try:
                await asyncio.Event().wait()
            finally:
                raise ValueError("while cleaning up")

        waiter = asyncio.ensure_future(load("a"))
        await settle()
        waiter.cancel()
        await settle()

    asyncio.run(main())
    (record,) = caplog.records
    assert record.name == "penstock.caching"
    assert record.levelname == "WARNING"
    assert "'a'" in record.getMessage()
    assert record.exc_info is not None
    assert repr(record.exc_info[1]) == "ValueError('while cleaning up')"


def test_waiter_that_times_out_takes_no_other_along() -> None:
    async def main() -> None:
        held = HeldLoader()
        load = cached(held)
        patient = asyncio.ensure_future(load("a"))
        await settle()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(load("a"), 0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await load("a")
        held.release()
        assert await patient == "a 1"

    asyncio.run(main())


def test_only_waiter_that_times_out_cancels_the_load() -> None:
    async def main() -> None:
        held = HeldLoader()
        load = cached(held)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await load("a")
        await settle()
        assert held.cancelled == ([1] if held.calls else [])
        assert tasks_left() == 0

    asyncio.run(main())


def test_closed_coroutine_of_a_waiter_leaves_as_a_cancelled_one() -> None:
    async def main() -> None:
        held = HeldLoader()
        load = cached(held)
        coroutine = load("a")
        coroutine.send(None)  # by hand, as far as its wait
        await settle()
        assert held.calls == ["a"]
        coroutine.close()
        await settle()
        assert held.cancelled == [1]
        assert tasks_left() == 0

    asyncio.run(main())


def test_task_group_that_fails_cancels_its_waiters_only() -> None:
    async def main() -> None:
        held = HeldLoader()
        load = cached(held)
        outside = asyncio.ensure_future(load("a"))
        await settle()

        async def fail() -> None:
            await settle(3)
            raise LookupError

        async def work() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(load("a"))
                group.create_task(fail())

        with pytest.raises(ExceptionGroup):
            await work()
        held.release()
        assert await outside == "a 1"

    asyncio.run(main())


def test_refresh_cancelled_at_any_step_keeps_the_old_value() -> None:
    async def main(step: int) -> None:
        values = iter(["old", "new", "newer"])

        @cached
        async def load(key: str) -> str:
            await asyncio.sleep(0)
            return next(values)

        assert await load("a") == "old"
        refresh = asyncio.ensure_future(load.refresh("a"))
        await settle(step)
        refresh.cancel()
        await settle()
        assert await load("a") in {"old", "new"}
        assert tasks_left() == 0
        assert await load.refresh("a") in {"new", "newer"}

    for step in STEPS:
        asyncio.run(main(step))
