"""Whether a connection that was idle for a while is still good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from penstock.errors import ClosedError
from penstock.flow._deadline import sooner

if TYPE_CHECKING:
    from asyncio import Future

    from penstock.pools._pool_link import Link
    from penstock.pools._pool_stock import Stock

__all__ = ["proven"]

C = TypeVar("C")


async def proven(stock: Stock[C], link: Link[C], until: float | None) -> bool:
    """
    Return whether a connection can be handed out; if not, it is not the caller's any more.

    A check is a chore of the pool: who is cancelled, or has no time left, leaves it, and the
    connection goes back when it is over.
    """
    options, now = stock.options, stock.now()
    if now >= link.ends:
        stock.retire(link, "lifetime")
        return False
    is_spare = len(stock.links) > options.min_size
    if is_spare and options.max_idle is not None and now - link.seen >= options.max_idle:
        stock.retire(link, "idle")
        return False
    if not stock.is_clean(link):
        _reject(stock, link, "dirty")
        return False
    if options.check is None or now - link.seen < options.check_after:
        return True
    return await _checked(stock, link, until)


async def _checked(stock: Stock[C], link: Link[C], until: float | None) -> bool:
    left, _ = sooner(None if until is None else max(until - stock.loop.time(), 0.0))
    check = _Check(stock, link)
    timer = None if left is None else stock.loop.call_later(left, check.give_up)
    try:
        await check.verdict
    except BaseException:  # cancelled, perhaps together with the verdict
        check.leave()
        raise
    finally:
        if timer is not None:
            timer.cancel()
    is_good: bool | None = check.verdict.result()
    if is_good is None:
        return False
    if stock.refusal is not None:
        stock.settle(link, is_good=is_good, reason="check")
        raise ClosedError(stock.refusal)
    if not is_good:
        _reject(stock, link, "check")
    return is_good


def _reject(stock: Stock[Any], link: Link[Any], reason: str) -> None:
    # Before it is dropped, or the next one is made at once, which may be no better.
    if link.is_new:
        stock.connector.spoil(_BAD[reason])
    stock.drop(link, reason)


_BAD = {"dirty": "is not clean", "check": "did not pass the check"}


class _Check:
    """
    A check that goes on if nobody waits for it any more, and then puts the connection back.

    Attributes:
        verdict: Whether the connection is good; None: there was no time to wait for that.
    """

    __slots__ = ("_link", "_stock", "verdict")

    def __init__(self, stock: Stock[Any], link: Link[Any]) -> None:
        self._stock = stock
        self._link = link
        self.verdict: Future[bool | None] = stock.loop.create_future()
        stock.counts.checks += 1
        stock.start((stock.options.check, link.raw), stock.options.check_timeout, self._then)

    def give_up(self) -> None:
        """Wait no longer."""
        if not self.verdict.done():
            self.verdict.set_result(None)

    def leave(self) -> None:
        """Do without a verdict that has come already."""
        verdict = self.verdict
        if verdict.done() and not verdict.cancelled() and verdict.result() is not None:
            self._settle(bool(verdict.result()))

    def _then(self, result: object, error: BaseException | None) -> None:
        is_good = error is None and result is not False
        # Nobody waits for it any more, or nobody can be told.
        if self.verdict.done() or self._stock.loop.is_closed():
            self._settle(is_good)
        else:
            self.verdict.set_result(is_good)

    def _settle(self, is_good: bool) -> None:
        self._stock.settle(self._link, is_good=is_good, reason="check")
