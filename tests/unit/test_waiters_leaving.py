"""Who leaves the line before its turn: deadlines, cancellation, and a grant in the same tick."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests.loading import settle
from tests.steps import now
from tests.waiting import Guest, assert_empty, states

from penstock._waiters import Waiters
from penstock.bench._virtual_loop import run
from penstock.errors import AcquireTimeout


def test_deadline_ends_the_wait_and_nobody_elses() -> None:
    async def main() -> None:
        line = Waiters(1)
        await line.acquire()
        start = now()
        impatient, patient = Guest(line, deadline=2.0), Guest(line)
        with pytest.raises(AcquireTimeout, match=r"^no permit became free within 3 s$") as caught:
            await line.acquire(deadline=timedelta(seconds=3))
        assert caught.value.seconds == 3.0
        assert isinstance(caught.value, TimeoutError)
        assert now() == pytest.approx(start + 3)
        assert states([impatient, patient]) == ["expired", "waiting"]
        line.release()
        await settle()
        assert patient.state == "inside"
        assert line._stats()[6] == 2

    run(main())


@pytest.mark.parametrize("deadline", [0, 0.0, -1, timedelta(0), timedelta(-1)])
def test_wait_without_time_ends_at_once(deadline: float | timedelta) -> None:
    async def main() -> None:
        line = Waiters(1)
        await line.acquire(deadline=deadline)  # nothing to wait for
        with pytest.raises(AcquireTimeout) as caught:
            await line.acquire(deadline=deadline)
        assert caught.value.seconds == 0.0
        assert line.waiting == 0
        assert line._stats()[6] == 1
        line.release()
        assert_empty(line)

    run(main())


@pytest.mark.parametrize(
    ("deadline", "error", "message"),
    [
        ("1", TypeError, "deadline must be a number of seconds or a timedelta, got str"),
        (True, TypeError, "deadline must be a number of seconds or a timedelta, got bool"),
        (float("nan"), ValueError, "deadline must be finite, got nan"),
        (float("inf"), ValueError, "deadline must be finite, got inf"),
    ],
)
def test_deadline_that_is_no_duration_is_refused(
    deadline: float, error: type[Exception], message: str
) -> None:
    async def main() -> None:
        line = Waiters(1)
        await line.acquire()
        with pytest.raises(error, match=f"^{message}$"):
            await line.acquire(deadline=deadline)
        line.release()
        assert_empty(line)

    run(main())


def test_cancelled_waiter_leaves_the_line() -> None:
    async def main() -> None:
        line = Waiters(1)
        await line.acquire()
        guests = [Guest(line) for _ in range(3)]
        await settle()
        guests[1].cancel()
        await settle()
        assert (line.waiting, guests[1].state) == (2, "cancelled")
        line.release()
        await settle()
        guests[0].go()
        await settle()
        assert guests[2].state == "inside"

    run(main())


def test_light_one_gets_in_when_the_heavy_one_before_it_leaves() -> None:
    async def main() -> None:
        line = Waiters(2)
        await line.acquire()
        cancelled, after = Guest(line, 2), Guest(line)
        await settle()
        assert after.state == "waiting"
        cancelled.cancel()
        await settle()
        assert after.state == "inside"
        expired, last = Guest(line, 2, deadline=1.0), Guest(line)
        await asyncio.sleep(1.5)
        assert states([expired, last]) == ["expired", "waiting"]
        after.go()
        await settle()
        assert last.state == "inside"

    run(main())


@pytest.mark.parametrize("order", ["grant first", "cancel first"])
def test_waiter_cancelled_in_the_tick_of_its_grant_passes_it_on(order: str) -> None:
    async def main() -> None:
        line = Waiters(1)
        await line.acquire()
        victim, after = Guest(line), Guest(line)
        await settle()
        if order == "grant first":
            line.release()
            victim.cancel()
        else:
            victim.cancel()
            line.release()
        await settle()
        assert states([victim, after]) == ["cancelled", "inside"]
        assert (line.in_use, line.waiting) == (1, 0)
        after.go()
        assert_empty(line)

    run(main())


@pytest.mark.parametrize("cancels", [1, 2, 5])
def test_grant_passes_through_a_row_of_cancelled_waiters(cancels: int) -> None:
    async def main() -> None:
        line = Waiters(1)
        await line.acquire()
        victims, after = [Guest(line) for _ in range(cancels)], Guest(line)
        await settle()
        line.release()
        for victim in victims:
            victim.cancel()
        await settle()
        assert states(victims) == ["cancelled"] * cancels
        assert after.state == "inside"
        after.go()
        assert_empty(line)

    run(main())


@pytest.mark.parametrize("is_first", [True, False])
def test_grant_in_the_tick_of_the_deadline_resolves_once(is_first: bool) -> None:
    async def main() -> None:
        line = Waiters(1)
        await line.acquire()
        loop = asyncio.get_running_loop()
        if is_first:
            loop.call_at(now() + 1.0, line.release)
        guest, after = Guest(line, deadline=1.0), Guest(line)
        await settle()
        if not is_first:
            loop.call_at(now() + 1.0, line.release)
        await asyncio.sleep(1.5)
        assert guest.outcomes == 1
        assert guest.state in {"inside", "expired"}
        if guest.state == "inside":
            assert after.state == "waiting"
            guest.go()
            await settle()
        assert after.state == "inside"
        after.go()
        assert_empty(line)

    run(main())


def test_waiter_granted_and_then_expired_before_it_ran_keeps_its_permit() -> None:
    async def main() -> None:
        line = Waiters(1)
        await line.acquire()
        guest = Guest(line, deadline=1.0)
        await settle()
        # Time is up while something else blocks the loop; the release comes before the timer runs.
        asyncio.get_running_loop().jump(2.0)
        line.release()
        await settle()
        assert guest.state == "inside"
        assert line._stats()[6] == 0

    run(main())


def test_waiter_cancelled_in_the_tick_of_its_deadline_leaves_once() -> None:
    async def main() -> None:
        line = Waiters(1)
        await line.acquire()
        guest, after = Guest(line, deadline=1.0), Guest(line)
        await settle()
        asyncio.get_running_loop().call_at(now() + 1.0, guest.cancel)
        await asyncio.sleep(1.5)
        assert guest.state in {"cancelled", "expired"}
        assert line.in_use == 1
        line.release()
        await settle()
        assert after.state == "inside"
        after.go()
        assert_empty(line)

    run(main())


def test_waiter_whose_time_runs_out_just_after_its_cancellation_leaves_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        line, loop = Waiters(1), asyncio.get_running_loop()
        await line.acquire()
        guest = Guest(line, deadline=1.0)
        await settle()
        loop.call_at(now() + 0.9, guest.cancel)
        loop.jump(2.0)  # both are due by now, one after the other
        await settle()
        assert guest.state == "cancelled"
        assert line._stats()[6:8] == (0, 1)
        line.release()
        assert_empty(line)

    run(main())
    assert caplog.records == []


def test_wait_without_time_does_not_touch_the_event_loop() -> None:
    async def main() -> None:
        line = Waiters(1)
        await line.acquire()
        with pytest.raises(AcquireTimeout):
            line.acquire(deadline=0).send(None)

    run(main())


def test_timer_of_a_deadline_goes_with_the_wait() -> None:
    async def main() -> None:
        line, loop = Waiters(1), asyncio.get_running_loop()
        await line.acquire()
        granted, cancelled = Guest(line, deadline=5.0), Guest(line, deadline=5.0)
        await settle()
        line.release()
        cancelled.cancel()
        await settle()
        assert (granted.state, cancelled.state) == ("inside", "cancelled")
        assert all(timer.cancelled() for timer in loop._scheduled)

    run(main())


def test_wait_may_be_bounded_by_asyncio_as_well() -> None:
    async def main() -> None:
        line = Waiters(1)
        await line.acquire()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(line.acquire(), 1.0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0), line:
                pass
        line.release()
        assert_empty(line)

    run(main())


def test_coroutine_that_is_closed_in_line_leaves_it() -> None:
    async def main() -> None:
        line = Waiters(1)
        await line.acquire()
        by_hand: object = line.acquire()
        by_hand.send(None)
        after = Guest(line)
        await settle()
        assert line.waiting == 2
        by_hand.close()
        assert line.waiting == 1
        line.release()
        await settle()
        assert after.state == "inside"

    run(main())


def test_coroutine_that_is_closed_after_its_grant_passes_it_on() -> None:
    async def main() -> None:
        line = Waiters(1)
        await line.acquire()
        by_hand: object = line.acquire()
        by_hand.send(None)
        after = Guest(line)
        await settle()
        line.release()
        by_hand.close()
        await settle()
        assert after.state == "inside"
        after.go()
        assert_empty(line)

    run(main())
