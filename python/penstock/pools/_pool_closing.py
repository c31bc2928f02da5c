"""The end of a pool: what is in use may come back first, and nothing is left open."""

from __future__ import annotations

from asyncio import Event, sleep, timeout_at
from typing import TYPE_CHECKING, Any

from penstock.pools._pool_link import LEASED
from penstock.pools._pool_stats import PoolReport

if TYPE_CHECKING:
    from penstock.pools._pool_stock import Stock

__all__ = ["abandon", "finish"]

#: More permits than anybody can ask for: all who wait are let in, to be told that it is closed.
_ALL = 1 << 40


async def finish(stock: Stock[Any], refusal: str, seconds: float | None) -> PoolReport:
    """
    Close all connections, those that are in use when they come back.

    Args:
        stock: What is closed.
        refusal: What those are told who wait, or come later.
        seconds: When what is left is cut off; None: never.
    """
    until = None if seconds is None else stock.loop.time() + seconds
    if stock.refusal is None:
        _begin(stock, refusal)
    before = len(stock.links) + len(stock.half_closed)
    stock.check_quiet()
    leased = 0
    try:
        async with timeout_at(until):
            await stock.quiet.wait()
    except TimeoutError:
        leased = _kill(stock)
    except BaseException:
        _kill(stock)
        raise
    terminated = min(stock.terminated, before)
    if stock.chores:  # connects, say, that were cancelled: most end in their next step
        await sleep(0)
    return PoolReport(before - terminated, terminated, leased)


def _begin(stock: Stock[Any], refusal: str) -> None:
    """Take on nothing more, and close what nobody uses."""
    stock.refusal = refusal
    stock.terminated = 0
    stock.connector.stop()
    stock.keeper.stop()
    idle, stock.idle = stock.idle, []
    for link in idle:
        # Not by the permits: some are granted already, to those who will be told that it is closed.
        stock.forget(link, "other")
        stock.close(link)
    stock.line.resize(_ALL)


def _kill(stock: Stock[Any]) -> int:
    """Cut off whatever there is; return how many were in use."""
    leased = 0
    for link in list(stock.links.values()):
        leased += link.state is LEASED
        stock.forget(link, "other")
        stock.terminate(link)
    for chore in list(stock.chores):  # what is half closed is terminated by these
        chore.abandon()
    stock.quiet.set()
    return leased


def abandon(stock: Stock[Any]) -> None:
    """Do without connections whose event loop is closed: nothing can be waited for there."""
    if stock.refusal is None:
        stock.refusal = "the event loop of the connection is closed"
    stock.quiet = Event()  # nor can anybody be told who waits there
    stock.connector.stop()
    stock.keeper.stop()
    stock.idle.clear()
    _kill(stock)
