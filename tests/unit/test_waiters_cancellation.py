"""Cancelled at any step, whatever waits leaves no permit behind, and the next one gets in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.loading import settle
from tests.waiting import Guest, assert_empty

from penstock.bench._virtual_loop import run
from penstock.errors import AcquireTimeout
from penstock.flow._limiter import Limiter
from penstock.flow._rate import RateLimiter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    Operation = Callable[["Limiter", list[str]], Coroutine[object, object, None]]

#: More steps than any of the operations takes.
STEPS = range(12)
#: Steps after which the permit that all wait for becomes free.
RELEASES = range(4)


async def body(events: list[str]) -> None:
    events.append("begun")
    await settle(3)
    events.append("done")


async def wait(limiter: Limiter, events: list[str]) -> None:
    await limiter.acquire()
    try:
        await body(events)
    finally:
        limiter.release()


async def wait_with_deadline(limiter: Limiter, events: list[str]) -> None:
    await limiter.acquire(deadline=5.0)
    try:
        await body(events)
    finally:
        limiter.release()


async def block(limiter: Limiter, events: list[str]) -> None:
    async with limiter:
        await body(events)


async def slot(limiter: Limiter, events: list[str]) -> None:
    async with limiter.slot(1, priority=1, deadline=5.0):
        await body(events)


async def heavy_slot(limiter: Limiter, events: list[str]) -> None:
    async with limiter.slot(2):
        await body(events)


async def decorated(limiter: Limiter, events: list[str]) -> None:
    await limiter(body)(events)


OPERATIONS: list[Operation] = [
    wait,
    wait_with_deadline,
    block,
    slot,
    heavy_slot,
    decorated,
]


async def cancel_at(operation: Operation, release: int, step: int) -> str:
    """Let an operation wait, free what it waits for, and cancel it; return how far it came."""
    limiter, events = Limiter(2), list[str]()
    assert limiter.try_acquire(2)
    victim = asyncio.ensure_future(operation(limiter, events))
    await asyncio.sleep(0)
    after = Guest(limiter, 2)
    for number in range(max(step, release) + 1):
        if number == release:
            limiter.release(2)
        if number == step:
            victim.cancel()
        await asyncio.sleep(0)
    await settle()
    assert victim.done()
    assert victim.cancelled() or events == ["begun", "done"]
    assert after.state == "inside"
    assert (limiter.in_use, limiter.waiting) == (2, 0)
    after.go()
    assert_empty(limiter)
    return " ".join(["cancelled" if victim.cancelled() else "returned", *events])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operation_cancelled_at_any_step_leaves_no_permit_behind(operation: Operation) -> None:
    outcomes = {run(cancel_at(operation, release, step)) for release in RELEASES for step in STEPS}
    # Or the steps were not the ones that matter.
    assert outcomes == {"cancelled", "cancelled begun", "returned begun done"}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("how", ["throw", "close"])
@pytest.mark.parametrize("is_granted", [False, True])
def test_coroutine_ended_by_hand_at_any_step_leaves_no_permit_behind(
    operation: Operation, how: str, is_granted: bool
) -> None:
    async def main(step: int) -> None:
        limiter = Limiter(2)
        assert limiter.try_acquire(2)
        coroutine = operation(limiter, [])
        waits_for = coroutine.send(None)
        assert isinstance(waits_for, asyncio.Future)
        after = Guest(limiter, 2)
        await settle()
        if is_granted or step:
            limiter.release(2)
        try:
            for _ in range(step):
                # As a task does with the future that it is handed.
                waits_for._asyncio_future_blocking = False
                coroutine.send(None)
        except StopIteration:
            pass
        else:
            if how == "close":
                coroutine.close()
            else:
                with pytest.raises(asyncio.CancelledError):
                    coroutine.throw(asyncio.CancelledError())
        if not is_granted and not step:
            limiter.release(2)
        await settle()
        assert after.state == "inside"
        after.go()
        assert_empty(limiter)

    for step in range(4):
        run(main(step))


@pytest.mark.parametrize("step", range(8))
def test_expired_waiter_cancelled_at_any_step_holds_nothing(step: int) -> None:
    async def main() -> None:
        limiter = Limiter(1)
        await limiter.acquire()
        victim = asyncio.ensure_future(limiter.acquire(deadline=1.0))
        await asyncio.sleep(1.0)
        await settle(step)
        victim.cancel()
        await settle()
        assert victim.cancelled() or isinstance(victim.exception(), AcquireTimeout)
        limiter.release()
        assert_empty(limiter)

    run(main())


def in_pairs(
    limiter: RateLimiter,
) -> list[Callable[[], Awaitable[None]]]:
    @limiter
    async def nothing() -> None:
        pass

    async def block() -> None:
        async with limiter:
            pass

    return [limiter.acquire, lambda: limiter.acquire(deadline=9.0), block, nothing]


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.0, 1.5])
@pytest.mark.parametrize("place", [0, 1])
def test_rate_limited_operation_cancelled_at_any_step_costs_no_token(
    number: int, seconds: float, place: int
) -> None:
    """Three wait, for the seconds 1, 2 and 3; the first or second of them is cancelled."""

    async def main(step: int) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        limiter = RateLimiter(1.0, timer=loop.time)
        begun: dict[int, float] = {}

        async def begin(guest: int) -> None:
            await in_pairs(limiter)[number]()
            begun[guest] = loop.time() - start

        await begin(-1)
        guests = [asyncio.ensure_future(begin(guest)) for guest in range(3)]
        await asyncio.sleep(seconds)
        await settle(step)
        guests[place].cancel()
        await asyncio.sleep(10.0)
        assert all(guest.done() for guest in guests)
        assert guests[place].cancelled() is (place not in begun)
        times = [pytest.approx(float(at)) for at in range(len(begun))]
        assert list(begun.values()) == times
        assert limiter.stats().waiting == 0
        assert limiter.try_acquire()

    for step in range(6):
        run(main(step))
