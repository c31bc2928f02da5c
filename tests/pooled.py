"""Connections that notice when they are handed on dirty, and what a pool of them must add up to."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from tests.steps import SteppedLoop, run

from penstock import Pool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = [
    "Conn",
    "Maker",
    "assert_adds_up",
    "assert_usable",
    "cancel_at_each_step",
    "hold",
    "make_pool",
]

#: More steps than any program here has.
_MOST_STEPS = 400


class Conn:
    """A connection that answers after a while; a question that broke off leaves it dirty."""

    def __init__(self, maker: Maker, number: int) -> None:
        self.maker = maker
        self.number = number
        self.asked: object = None
        self.is_alive = True
        self.checks = 0
        maker.open.add(self)

    async def ask(self, question: object, seconds: float = 0.01) -> object:
        """Return the question; nobody may ask while an answer is on its way to somebody else."""
        assert self.is_alive, "it is closed"
        assert self.asked is None, f"{self.asked!r} was asked, and the answer not taken"
        self.asked = question
        await asyncio.sleep(seconds)
        answer, self.asked = self.asked, None
        return answer

    async def check(self) -> bool:
        self.checks += 1
        await self.ask("ping", self.maker.check_seconds)
        if self.maker.failing_checks:
            self.maker.failing_checks -= 1
            return False
        return True

    async def reset(self) -> None:
        await self.ask("reset", self.maker.reset_seconds)
        if self.maker.fails_resets:
            raise OSError("no reset")

    async def close(self) -> None:
        await asyncio.sleep(self.maker.close_seconds)
        self.terminate()

    def terminate(self) -> None:
        self.is_alive = False
        self.maker.open.discard(self)

    def __repr__(self) -> str:
        return f"<conn {self.number}>"


class Maker:
    """What makes connections, and knows those that are open."""

    def __init__(self) -> None:
        self.open: set[Conn] = set()
        self.made = 0
        #: Errors of the next attempts; None: that one succeeds.
        self.errors: list[BaseException | None] = []
        self.seconds = 0.01
        self.check_seconds = self.reset_seconds = self.close_seconds = 0.01
        #: How many of the next checks fail.
        self.failing_checks = 0
        self.fails_resets = False
        self.attempts: list[float] = []

    async def __call__(self) -> Conn:
        self.attempts.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.seconds)
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        self.made += 1
        return Conn(self, self.made)


async def hold(pool: Pool[Conn], seconds: float) -> Conn:
    """Use a connection for so long."""
    async with pool.acquire() as conn:
        await asyncio.sleep(seconds)
    return conn


def make_pool(maker: Maker | None = None, **options: Any) -> Pool[Conn]:
    """Make a pool of such connections."""
    return Pool(maker or Maker(), **options)


def assert_adds_up(pool: Pool[Any]) -> None:
    """No connection and no permit is missing, and nobody waits while one is to be had."""
    stats, stock = pool.stats(), pool._stock
    assert stats.size == stats.idle + stats.leased + stats.connecting + stats.resetting
    assert min(stats.idle, stats.leased, stats.connecting, stats.resetting) >= 0
    if stock is None or stock.refusal is not None:
        return
    line = stock.line
    assert line.limit == len(stock.links) + 1
    granted = line.in_use - 1 - stats.leased - stats.resetting
    assert 0 <= granted <= stats.idle
    assert not line.waiting or granted == stats.idle
    assert len({id(link) for link in stock.idle}) == stats.idle
    if line.waiting and stats.size < stats.max_size:
        assert stock.connector.active or stock.connector._retry is not None


async def assert_usable(pool: Pool[Conn]) -> None:
    """All of its connections can be had at once, each of them clean."""
    size = pool.stats().max_size
    held = [await pool.acquire() for _ in range(size)]
    assert len(set(held)) == size
    answers = await asyncio.gather(*[conn.ask(number) for number, conn in enumerate(held)])
    assert answers == list(range(size))
    for conn in held:
        pool.release(conn)
    assert_adds_up(pool)


def cancel_at_each_step(
    user: Callable[[Pool[Conn]], Awaitable[object]],
    make: Callable[[Maker], Pool[Conn]],
    *,
    twice: int = 0,
    prepare: Callable[[Pool[Conn]], Awaitable[object]] | None = None,
) -> int:
    """
    Run *user* again and again, cancelled before its first step, its second, ... its last.

    At each step of the loop the pool has to add up; afterwards it must be as good as new, and when
    it was closed nothing may be open. Returns how many steps there were.
    """
    for step in count():
        when = (step + 1, step + 1 + twice)
        if not run(_cancel(user, make, when, prepare), collect=step % 20 == 0):
            assert step > 1
            return step
    raise AssertionError


async def _cancel(
    user: Callable[[Pool[Conn]], Awaitable[object]],
    make: Callable[[Maker], Pool[Conn]],
    when: tuple[int, int],
    prepare: Callable[[Pool[Conn]], Awaitable[object]] | None,
) -> bool:
    """Run *user*, cancelled before some steps; whether it had not ended before the first one."""
    maker = Maker()
    pool = make(maker)
    if prepare is not None:
        await prepare(pool)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteppedLoop)
    task = asyncio.ensure_future(user(pool))
    cancelled: list[bool] = []

    def look(at: int) -> None:
        if at in when:
            cancelled.append(task.cancel())
        assert_adds_up(pool)

    for at in range(1, _MOST_STEPS):
        loop.in_steps(at, partial(look, at))
    await asyncio.wait([task])
    assert_adds_up(pool)
    if not task.cancelled() and task.exception() is not None:
        raise AssertionError(f"cancelled before step {when[0]}") from task.exception()
    if not pool.closed:
        await assert_usable(pool)
    await pool.aclose()
    assert maker.open == set(), f"left open by a cancellation before step {when[0]}"
    return cancelled[:1] == [True]
