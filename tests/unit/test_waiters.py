"""Waiting for permits on one event loop: who gets them, in which order, and who is refused."""

from __future__ import annotations

import asyncio

import pytest
from tests.loading import settle
from tests.waiting import Guest, assert_empty, states

from penstock._backend import Ready
from penstock._waiters import Waiters
from penstock.bench._virtual_loop import run
from penstock.errors import LimitExceeded


def test_permits_that_are_there_are_ready_at_once() -> None:
    line = Waiters(2)
    assert isinstance(line.acquire(), Ready)
    assert isinstance(line.__aenter__(), Ready)
    assert line.in_use == 2
    line.release(2)
    assert_empty(line)


def test_guests_get_in_in_the_order_in_which_they_came() -> None:
    async def main() -> None:
        line, log = Waiters(2), list[Guest]()
        guests = [Guest(line, log=log) for _ in range(6)]
        await settle()
        assert states(guests) == ["inside"] * 2 + ["waiting"] * 4
        while log != guests:
            next(guest for guest in guests if guest.state == "inside").go()
            await settle()
        for guest in log[-2:]:
            guest.go()
        assert_empty(line)

    run(main())


def test_last_to_come_is_first_in_a_lifo_line() -> None:
    async def main() -> None:
        line, log = Waiters(1, "lifo"), list[Guest]()
        guests = [Guest(line, log=log) for _ in range(4)]
        await settle()
        for _ in guests:
            log[-1].go()
            await settle()
        assert log == [guests[0], *guests[:0:-1]]
        assert_empty(line)

    run(main())


def test_lowest_number_is_first_and_among_equals_who_came_first() -> None:
    async def main() -> None:
        line, log = Waiters(1, "priority"), list[Guest]()
        guests = [Guest(line, priority=priority, log=log) for priority in (0, 5, -1, 5, 2, -1)]
        await settle()
        for _ in guests:
            log[-1].go()
            await settle()
        assert [guest.priority for guest in log] == [0, -1, -1, 2, 5, 5]
        assert [guest.number for guest in log[1:3]] == [guests[2].number, guests[5].number]
        assert [guest.number for guest in log[4:]] == [guests[1].number, guests[3].number]
        assert_empty(line)

    run(main())


def test_newcomer_does_not_get_in_between_a_release_and_who_waits() -> None:
    async def main() -> None:
        line = Waiters(1)
        await line.acquire()
        waiting = Guest(line)
        await settle()
        line.release()  # handed over here and now, though the waiter has not run yet
        assert line.in_use == 1
        assert not line.try_acquire()
        newcomer = Guest(line)
        await settle()
        assert states([waiting, newcomer]) == ["inside", "waiting"]

    run(main())


def test_heavy_one_is_not_overtaken_by_light_ones() -> None:
    async def main() -> None:
        line = Waiters(3)
        first = Guest(line, 2)
        await settle()
        heavy, light = Guest(line, 3), Guest(line, 1)
        await settle()
        assert line.available == 1
        assert states([first, heavy, light]) == ["inside", "waiting", "waiting"]
        first.go()
        await settle()
        assert states([heavy, light]) == ["inside", "waiting"]
        heavy.go()
        await settle()
        assert light.state == "inside"

    run(main())


def test_one_heavier_than_the_limit_goes_alone() -> None:
    async def main() -> None:
        line = Waiters(2)
        light = Guest(line, 1)
        await settle()
        heavy = Guest(line, 5)
        await settle()
        assert heavy.state == "waiting"
        light.go()
        await settle()
        assert (heavy.state, line.in_use, line.available) == ("inside", 5, 0)
        after = Guest(line, 1)
        await settle()
        assert after.state == "waiting"
        heavy.go()
        await settle()
        assert after.state == "inside"

    run(main())


def test_release_lets_in_as_many_as_fit() -> None:
    async def main() -> None:
        line = Waiters(4)
        heavy = Guest(line, 4)
        await settle()
        guests = [Guest(line, weight) for weight in (1, 2, 1, 1)]
        await settle()
        heavy.go()
        await settle()
        assert states(guests) == ["inside", "inside", "inside", "waiting"]

    run(main())


def test_growth_lets_in_as_many_as_fit_and_shrinking_revokes_nothing() -> None:
    async def main() -> None:
        line = Waiters(1)
        guests = [Guest(line) for _ in range(5)]
        await settle()
        line.resize(3)
        await settle()
        assert states(guests) == ["inside"] * 3 + ["waiting"] * 2
        line.resize(1)
        assert (line.in_use, line.available) == (3, 0)
        guests[0].go()
        guests[1].go()
        await settle()
        assert states(guests[2:]) == ["inside", "waiting", "waiting"]
        guests[2].go()
        await settle()
        assert states(guests[3:]) == ["inside", "waiting"]

    run(main())


def test_full_line_turns_away_at_once() -> None:
    async def main() -> None:
        line = Waiters(1, max_waiting=2)
        guests = [Guest(line) for _ in range(5)]
        await settle()
        assert states(guests) == ["inside", "waiting", "waiting", "refused", "refused"]
        with pytest.raises(LimitExceeded, match=r"^2 wait already, and at most 2 may$") as caught:
            await line.acquire()
        assert (caught.value.waiting, caught.value.max_waiting) == (2, 2)
        guests[1].cancel()
        await settle()
        late = Guest(line)
        await settle()
        assert late.state == "waiting"  # room again

    run(main())


def test_line_of_nobody_refuses_whoever_would_wait() -> None:
    async def main() -> None:
        line = Waiters(1, max_waiting=0)
        async with line:
            with pytest.raises(LimitExceeded, match=r"^0 wait already, and at most 0 may$"):
                await line.acquire()
        assert_empty(line)

    run(main())


def test_body_that_raises_gives_its_permit_back() -> None:
    class Stop(BaseException):
        pass

    class Line(Waiters):
        def _outcome(self, kind: type[BaseException]) -> str:
            return "ignored"

    async def main() -> None:
        line = Line(1)
        for error in (ValueError, Stop, asyncio.CancelledError, GeneratorExit):
            with pytest.raises(error):
                async with line:
                    raise error
            with pytest.raises(error), line:
                raise error
        assert_empty(line)

    run(main())


@pytest.mark.parametrize("weight", [1, 3])
def test_release_without_acquire_is_an_error(weight: int) -> None:
    line = Waiters(5)
    if weight > 1:
        assert line.try_acquire(weight - 1)
    with pytest.raises(RuntimeError, match=r"^release\(\) without acquire\(\)$"):
        line.release(weight)
    assert line.in_use == weight - 1


def test_own_errors_take_the_place_of_the_usual_ones() -> None:
    class Line(Waiters):
        def _refused(self) -> Exception:
            return KeyError("full")

        def _expired(self, seconds: float) -> Exception:
            return LookupError(seconds)

    async def main() -> None:
        line = Line(1, max_waiting=1)
        await line.acquire()
        with pytest.raises(LookupError, match=r"^1\.5$"):
            await line.acquire(deadline=1.5)
        guest = Guest(line)
        await settle()
        with pytest.raises(KeyError, match="full"):
            await line.acquire()
        guest.cancel()

    run(main())
