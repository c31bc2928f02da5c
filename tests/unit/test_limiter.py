"""`Limiter` around blocks of code: permits, deadlines, and what it tells of itself."""

from __future__ import annotations

import asyncio
import pickle
from datetime import timedelta

import pytest
from tests.loading import settle
from tests.threads import spawn
from tests.waiting import Guest, assert_empty

from penstock import _components
from penstock._backend import Ready
from penstock.bench._virtual_loop import run
from penstock.errors import AcquireTimeout, DeadlineExceeded, LimitExceeded
from penstock.flow._deadline import deadline
from penstock.flow._limiter import Limiter
from penstock.flow._limiter_options import LimiterStats
from penstock.flow._policies import fixed


def test_as_many_as_the_limit_are_inside_at_once() -> None:
    async def main() -> None:
        limiter, inside, most = Limiter(3), 0, 0

        async def work() -> None:
            nonlocal inside, most
            async with limiter:
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(1)
                inside -= 1

        await asyncio.gather(*[work() for _ in range(10)])
        assert most == 3
        assert_empty(limiter)

    run(main())


def test_entry_without_a_wait_is_native() -> None:
    limiter = Limiter(1)
    for name in ("acquire", "try_acquire", "release", "__aenter__", "__aexit__", "__enter__"):
        owner = next(cls for cls in Limiter.__mro__ if name in vars(cls))
        assert owner.__name__ == "WaiterQueue", name
    entering = limiter.__aenter__()
    assert isinstance(entering, Ready)
    assert isinstance(limiter.__aexit__(None, None, None), Ready)


def test_async_with_and_with_give_nothing() -> None:
    async def main() -> None:
        limiter = Limiter(2)
        async with limiter as value:
            assert value is None
        with limiter as value:
            assert value is None
        async with limiter.slot() as value:
            assert value is None
        with limiter.slot() as value:
            assert value is None
        assert_empty(limiter)

    run(main())


def test_error_of_a_body_passes_through() -> None:
    class Stop(BaseException):
        pass

    async def main() -> None:
        limiter = Limiter(1)
        for error in (ValueError("a"), TimeoutError("b"), Stop(), asyncio.CancelledError()):
            for manager in (limiter, limiter.slot()):
                with pytest.raises(type(error)) as caught:
                    async with manager:
                        raise error
                assert caught.value is error
                with pytest.raises(type(error)) as caught, manager:
                    raise error
                assert caught.value is error
        assert_empty(limiter)

    run(main())


def test_wait_ends_with_the_ambient_deadline() -> None:
    async def main() -> None:
        limiter = Limiter(1)
        loop = asyncio.get_running_loop()
        async with limiter:
            start = loop.time()
            with deadline(2.0):
                with pytest.raises(DeadlineExceeded) as caught:
                    await limiter.acquire()
                assert loop.time() == pytest.approx(start + 2)
                assert caught.value.seconds == 2.0
                # It is over: who would have to wait need not get in line.
                with pytest.raises(DeadlineExceeded):
                    await limiter.acquire()
        with deadline(2.0):
            await asyncio.sleep(3)
            await limiter.acquire()  # nothing to wait for
        limiter.release()
        assert limiter.stats().timeouts == 2
        assert_empty(limiter)

    run(main())


@pytest.mark.parametrize("own", [1.0, timedelta(seconds=1), 3.0])
def test_sooner_one_of_two_deadlines_is_the_one_that_is_told(own: float | timedelta) -> None:
    async def main() -> None:
        limiter = Limiter(1)
        async with limiter:
            with deadline(2.0), pytest.raises(TimeoutError) as caught:
                await limiter.acquire(deadline=own)
        assert type(caught.value) is (DeadlineExceeded if own == 3.0 else AcquireTimeout)
        assert_empty(limiter)

    run(main())


def test_deadline_that_cancels_ends_a_wait_of_any_limiter() -> None:
    async def main() -> None:
        limiter = Limiter(1)
        async with limiter:
            with pytest.raises(DeadlineExceeded):
                async with deadline(1.0), limiter:
                    pass
        assert_empty(limiter)

    run(main())


def test_ambient_deadline_ends_the_wait_of_a_thread() -> None:
    limiter = Limiter(1)

    def work() -> None:
        with deadline(0.001), limiter:
            pass

    limiter.try_acquire()
    assert isinstance(spawn(work).wait().error, DeadlineExceeded)
    limiter.release()
    assert_empty(limiter)


def test_thread_with_an_event_loop_is_told_to_use_async_with() -> None:
    async def main() -> None:
        limiter = Limiter(1)

        @limiter
        def work() -> str:
            return "done"

        assert work() == "done"
        async with limiter:
            for enter in (limiter.__enter__, limiter.slot().__enter__, work):
                with pytest.raises(RuntimeError, match=r"would block the event loop"):
                    enter()
        assert_empty(limiter)

    run(main())


def test_full_line_turns_away() -> None:
    async def main() -> None:
        limiter = Limiter(1, max_waiting=1)
        guests = [Guest(limiter) for _ in range(3)]
        await settle()
        assert [guest.state for guest in guests] == ["inside", "waiting", "refused"]
        with pytest.raises(LimitExceeded) as caught:
            await limiter.acquire()
        assert (caught.value.waiting, caught.value.max_waiting) == (1, 1)
        guests[0].go()
        await settle()
        guests[1].go()
        assert_empty(limiter)

    run(main())


def test_lifo_serves_some_in_time_where_fifo_serves_all_late() -> None:
    async def served(order: str) -> int:
        """A stall, then as many come as can be served; how many of them get in within a second."""
        limiter = Limiter(1, order=order)
        in_time = 0

        async def work() -> None:
            nonlocal in_time
            try:
                async with limiter.slot(deadline=1.5):
                    in_time += 1
                    await asyncio.sleep(1)
            except AcquireTimeout:
                pass

        async with limiter:
            tasks = [asyncio.create_task(work()) for _ in range(5)]
            await asyncio.sleep(1.2)
        for _ in range(5):
            tasks.append(asyncio.create_task(work()))
            await asyncio.sleep(1)
        await asyncio.gather(*tasks)
        return in_time

    assert run(served("lifo")) >= run(served("fifo"))


def test_fixed_limit_may_be_resized() -> None:
    async def main() -> None:
        limiter = Limiter(1)
        guests = [Guest(limiter) for _ in range(3)]
        await settle()
        limiter.resize(2)
        await settle()
        assert [guest.state for guest in guests] == ["inside", "inside", "waiting"]
        assert limiter.limit == 2
        for wrong in (0, -1):
            with pytest.raises(ValueError, match=f"^limit must be >= 1, got {wrong}$"):
                limiter.resize(wrong)
        for wrong in ("3", 1.5, True, None):
            with pytest.raises(TypeError, match=r"^limit must be an int, got "):
                limiter.resize(wrong)
        assert limiter.limit == 2
        for guest in guests:
            guest.cancel()

    run(main())


def test_adaptive_limit_is_not_resized_by_hand() -> None:
    limiter = Limiter.aimd(0.5)
    with pytest.raises(RuntimeError, match=r"^the limit is up to aimd\(0\.5, .*a fixed one"):
        limiter.resize(3)
    assert limiter.limit == 10


def test_statistics_tell_what_happened() -> None:
    async def main() -> None:
        clock = asyncio.get_running_loop().time
        limiter = Limiter(2, max_waiting=3, timer=clock)
        assert limiter.stats() == LimiterStats(limit=2)
        await limiter.acquire(2)
        guests = [
            Guest(limiter, deadline=1.0),
            Guest(limiter),
            Guest(limiter, 2),
            Guest(limiter),
        ]
        await settle()
        assert limiter.stats() == LimiterStats(
            limit=2, in_use=2, waiting=3, acquired=1, waited=3, rejected=1
        )
        await asyncio.sleep(2)
        guests[1].cancel()
        await settle()
        limiter.release(2)
        await settle()
        assert limiter.stats() == LimiterStats(
            limit=2,
            in_use=2,
            acquired=2,
            waited=3,
            rejected=1,
            timeouts=1,
            cancelled=1,
            wait_seconds=pytest.approx(2.0),
        )

    run(main())


def test_named_limiter_is_shown_under_its_name() -> None:
    limiter = Limiter(2, name="a limiter of a test")
    names = [entry.name for entry in _components.entries() if entry() is limiter]
    assert names == ["a limiter of a test"]
    assert limiter.name == "a limiter of a test"
    nameless = Limiter(2)
    assert not [entry for entry in _components.entries() if entry() is nameless]


def test_limiter_says_what_it_is() -> None:
    limiter = Limiter(fixed(3), order="lifo", max_waiting=7, name="db")
    limiter.try_acquire()
    assert repr(limiter) == "Limiter(fixed(3), limit=3, in_use=1, waiting=0, name='db')"
    assert (limiter.order, limiter.max_waiting, limiter.name) == ("lifo", 7, "db")
    assert repr(limiter.policy) == "fixed(3)"
    assert repr(Limiter(2)) == "Limiter(fixed(2), limit=2, in_use=0, waiting=0)"


def test_limiter_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(Limiter(2))


def test_limiter_may_be_made_outside_of_any_loop_and_used_in_several() -> None:
    limiter = Limiter(1)

    async def main() -> None:
        guests = [Guest(limiter) for _ in range(2)]
        await settle()
        guests[0].go()
        await settle()
        guests[1].go()

    for _ in range(3):
        run(main())
    assert_empty(limiter)
