"""Slots of a `Limiter`: how they wait, and what they may weigh."""

from __future__ import annotations

import asyncio

import pytest
from tests.loading import settle
from tests.threads import spawn
from tests.waiting import assert_empty

from penstock.bench._virtual_loop import run
from penstock.errors import AcquireTimeout
from penstock.flow._limiter import Limiter


def test_slot_holds_as_many_permits_as_it_weighs() -> None:
    async def main() -> None:
        limiter = Limiter(5)
        async with limiter.slot(3):
            assert (limiter.in_use, limiter.available) == (3, 2)
            with limiter.slot(2):
                assert limiter.available == 0
            assert limiter.in_use == 3
        assert_empty(limiter)

    run(main())


def test_slot_may_be_entered_again() -> None:
    async def main() -> None:
        limiter = Limiter(4)
        slot = limiter.slot(2)
        async with slot, slot:
            assert limiter.in_use == 4
        async with slot:
            assert limiter.in_use == 2
        assert_empty(limiter)

    run(main())


def test_slot_waits_as_it_was_told() -> None:
    async def main() -> None:
        limiter, log = Limiter(1, order="priority"), list[int]()

        async def work(number: int) -> None:
            async with limiter.slot(priority=number):
                log.append(number)

        async with limiter:
            with pytest.raises(AcquireTimeout):
                async with limiter.slot(deadline=1.5):
                    pass
            tasks = [asyncio.create_task(work(number)) for number in (2, 0, 1)]
            await settle()
        await asyncio.gather(*tasks)
        assert log == [0, 1, 2]
        assert_empty(limiter)

    run(main())


def test_slot_of_a_thread_waits_as_it_was_told() -> None:
    limiter = Limiter(2)

    def work() -> None:
        with limiter.slot(2, deadline=0.001):
            pass

    limiter.try_acquire()
    assert isinstance(spawn(work).wait().error, AcquireTimeout)
    limiter.release()
    spawn(work).result()
    assert_empty(limiter)


def test_weight_that_no_limit_would_allow_is_refused() -> None:
    async def main() -> None:
        limiter = Limiter(5)
        with pytest.raises(ValueError, match=r"^weight must be <= 5, got 6$"):
            limiter.acquire(6)
        with pytest.raises(ValueError, match=r"^weight must be <= 5, got 6$"):
            async with limiter.slot(6):
                pass
        limiter.resize(2)
        async with limiter.slot(5):  # was right once: alone
            assert limiter.in_use == 5
        limiter.resize(8)
        assert limiter.try_acquire(8)
        limiter.release(8)
        adaptive = Limiter.aimd(1.0, max_limit=20)
        async with adaptive.slot(20):
            assert not adaptive.try_acquire()

    run(main())


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        (0, ValueError, "weight must be >= 1, got 0"),
        (-1, ValueError, "weight must be >= 1, got -1"),
        ("1", TypeError, "weight must be an int, got str"),
        (1.0, TypeError, "weight must be an int, got float"),
        (True, TypeError, "weight must be an int, got bool"),
    ],
)
def test_weight_that_is_no_weight_is_refused(
    weight: int, error: type[Exception], message: str
) -> None:
    limiter = Limiter(5)
    limiter.try_acquire()
    for call in (limiter.acquire, limiter.try_acquire, limiter.release, limiter.slot):
        with pytest.raises(error, match=f"^{message}$"):
            call(weight)
    assert limiter.in_use == 1


@pytest.mark.parametrize("priority", ["1", 1.0, True, None])
def test_priority_that_is_no_int_is_refused(priority: int) -> None:
    limiter = Limiter(5)
    message = f"^priority must be an int, got {type(priority).__name__}$"
    for call in (limiter.acquire, limiter.slot):
        with pytest.raises(TypeError, match=message):
            call(priority=priority)
