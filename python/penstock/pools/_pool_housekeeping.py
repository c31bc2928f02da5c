"""What a pool does with connections that nobody uses, and with those that do not come back."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any
from weakref import ref

from penstock.pools._pool_leaks import report
from penstock.pools._pool_link import IDLE, LEASED

if TYPE_CHECKING:
    from asyncio import TimerHandle

    from penstock.pools._pool_link import Link
    from penstock.pools._pool_stock import Stock

__all__ = ["Keeper"]

#: What is due and could not be done, since somebody was just about to use it, is soon tried again.
_SOON = 0.05


class Keeper:
    """
    Closes what was idle for too long, or is too old; checks what is to be kept alive.

    One timer for all of it. What is given back after the timer was set is due later than it, so
    that nobody who gives back a connection has to look after the timer.
    """

    __slots__ = ("__weakref__", "_at", "_ref", "_stock", "_timer")

    def __init__(self, stock: Stock[Any]) -> None:
        self._stock = ref(stock)
        self._timer: TimerHandle | None = None
        self._at = inf
        self._ref: ref[Keeper] = ref(self)

    def wake(self, seconds: float = inf) -> None:
        """Look after what is there, in *seconds* at the latest."""
        stock = self._stock()
        if stock is None or stock.refusal is not None:
            return
        if self._timer is not None and seconds == inf:
            return
        self._set(stock, min(self._next(stock) if self._timer is None else inf, seconds))

    def stop(self) -> None:
        """Look after nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._at = inf

    def tick(self) -> None:
        """Do what is due."""
        stock = self._stock()
        self.stop()
        if stock is None or stock.refusal is not None:
            return
        now = stock.now()
        self._tell_leaks(stock, now)
        for link in list(stock.idle):
            reason = self._reason(stock, link, now)
            if reason is None or link.state is not IDLE:
                continue
            if not stock.claim(link):
                break
            if reason == "keepalive":
                self._keep_alive(stock, link)
            else:
                stock.retire(link, reason)
        stock.connector.want()
        self._set(stock, max(self._next(stock), _SOON))

    def _set(self, stock: Stock[Any], seconds: float) -> None:
        """Be there in *seconds*, unless that is later than planned."""
        if seconds == inf:
            return
        at = stock.loop.time() + seconds
        if at < self._at:
            self.stop()
            self._at = at
            self._timer = stock.loop.call_at(at, _tick, self._ref)

    def _reason(self, stock: Stock[Any], link: Link[Any], now: float) -> str | None:
        """Return what is to be done with an idle connection."""
        options, count = stock.options, len(stock.links)
        if count > options.max_size:
            return "other"
        if now >= link.ends:
            return "lifetime"
        if options.max_idle is not None and now >= link.used + options.max_idle and (
            count > options.min_size
        ):  # fmt: skip
            return "idle"
        if options.keepalive is not None and now >= link.seen + options.keepalive:
            return "keepalive"
        return None

    def _tell_leaks(self, stock: Stock[Any], now: float) -> None:
        most = stock.options.leak_after
        if most is None:
            return
        for link in list(stock.links.values()):
            if link.state is LEASED and not link.is_told and now >= link.since + most:
                stock.counts.leaks += 1
                report(link, now - link.since)

    def _keep_alive(self, stock: Stock[Any], link: Link[Any]) -> None:
        options = stock.options
        used = link.used
        stock.counts.checks += 1

        def then(result: object, error: BaseException | None) -> None:
            if error is not None or result is False:
                stock.settle(link, is_good=False, reason="check")
                return
            stock.settle(link, is_good=True, reason="check")
            if link.state is IDLE and stock.idle[-1] is link and not stock.line.waiting:
                # Nobody has used it: it goes back to where it was, and is idle since it was.
                link.used = used
                stock.idle.insert(0, stock.idle.pop())

        stock.start((options.check, link.raw), options.check_timeout, then)

    def _next(self, stock: Stock[Any]) -> float:
        """Return in how many seconds something is due, at the earliest."""
        options, now = stock.options, stock.now()
        # What is idle or leased from now on is due after these.
        due = [each for each in (options.max_idle, options.keepalive, options.leak_after) if each]
        if not stock.links:
            return inf
        at = now + min(due, default=inf)
        can_shrink = len(stock.links) > options.min_size
        for link in stock.links.values():
            at = min(at, link.ends)
            if link.state is IDLE:
                if options.max_idle is not None and can_shrink:
                    at = min(at, link.used + options.max_idle)
                if options.keepalive is not None:
                    at = min(at, link.seen + options.keepalive)
            elif link.state is LEASED and options.leak_after is not None and not link.is_told:
                at = min(at, link.since + options.leak_after)
        return max(at - now, 0.0)


def _tick(keeper: ref[Keeper]) -> None:
    # Not a method: a timer would keep a pool alive that everybody has forgotten.
    this = keeper()
    if this is not None:
        this.tick()
