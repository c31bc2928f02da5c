"""How the connections of a pool come about: a few at a time, and not too often while it fails."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Any
from weakref import ref

from penstock.flow._backoff import full_jitter
from penstock.pools._pool_chores import Stopped

if TYPE_CHECKING:
    from asyncio import TimerHandle

    from penstock.pools._pool_chores import Chore
    from penstock.pools._pool_stock import Stock

__all__ = ["Connector"]

logger = logging.getLogger("penstock.pools")


class Connector:
    """
    Makes connections while somebody waits for one, or there are fewer than there shall be.

    They are made in tasks of the pool: who waits may get one that was given back in the meantime,
    and who leaves does not stop one that others can use. After an attempt that failed there is
    one at a time, each after a delay.
    """

    __slots__ = ("__weakref__", "_failures", "_ref", "_retry", "_stock", "active", "last_error")

    def __init__(self, stock: Stock[Any]) -> None:
        self._stock = ref(stock)
        #: What is under way, by when it began.
        self.active: dict[int, Chore] = {}
        self.last_error: BaseException | None = None
        self._failures = 0
        self._retry: TimerHandle | None = None
        self._ref: ref[Connector] = ref(self)

    def want(self, extra: int = 0) -> None:
        """Make as many as are needed; *extra* are about to wait."""
        stock = self._stock()
        if stock is None or stock.refusal is not None or self._retry is not None:
            return
        options, ready, active = stock.options, len(stock.links), len(self.active)
        needed = max(stock.line.waiting + extra, options.min_size - ready)
        most = min(needed, options.max_size - ready)
        at_once = 1 if self._failures else options.max_connecting
        for _ in range(min(most, at_once) - active):
            self._start(stock)

    def prove(self) -> None:
        """Note that a new connection was good."""
        self._failures = 0
        self.last_error = None

    def spoil(self, why: str) -> None:
        """Note that a new connection was not good: as if it could not be made."""
        stock = self._stock()
        if stock is not None:
            self._fail(stock, ConnectionError(f"a new connection {why}"))

    def stop(self) -> None:
        """Give up what is under way."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        active, self.active = self.active, {}
        for chore in active.values():
            chore.abandon()

    def _start(self, stock: Stock[Any]) -> None:
        number = max(self.active, default=0) + 1
        began = stock.now()

        def then(raw: Any, error: BaseException | None) -> None:
            self.active.pop(number, None)
            if error is None and id(raw) in stock.links:
                error = RuntimeError("factory returned a connection that the pool has already")
            if error is None:
                self._succeed(stock, raw, stock.now() - began)
            else:
                self._fail(stock, error)

        def late(raw: Any) -> None:
            if id(raw) not in stock.links:
                stock.discard(raw)

        options = stock.options
        self.active[number] = stock.start((options.factory,), options.connect_timeout, then, late)

    def _succeed(self, stock: Stock[Any], raw: Any, seconds: float) -> None:
        stock.counts.connects += 1
        stock.counts.connect_seconds += seconds
        stock.add(raw)
        self.want()

    def _fail(self, stock: Stock[Any], error: BaseException) -> None:
        if stock.refusal is not None:
            return
        if not self._failures and not isinstance(error, Stopped):
            logger.warning("cannot connect, it is tried again: %r", error)
        self._failures += 1
        self.last_error = error
        stock.counts.connect_errors += 1
        if self._retry is not None:
            return
        base, cap = stock.options.connect_backoff
        delay = full_jitter(base, cap, self._failures, random)
        self._retry = stock.loop.call_later(delay, _again, self._ref)


def _again(connector: ref[Connector]) -> None:
    # Not a method: a timer would keep a pool alive that everybody has forgotten.
    this = connector()
    if this is not None:
        this._retry = None
        this.want()
