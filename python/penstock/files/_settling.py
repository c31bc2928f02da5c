"""Telling all who wait for the same thing how it ended."""

from __future__ import annotations

import asyncio
from concurrent import futures
from typing import TypeAlias

from penstock._copies import copied

__all__ = ["Waiter", "of_living_loops", "settle"]

Waiter: TypeAlias = "asyncio.Future[None] | futures.Future[None]"


def settle(waiters: list[Waiter], error: BaseException | None) -> None:
    """
    Resolve *waiters*, or fail each with an error of its own.

    If nobody looks at any of these errors, asyncio says so once, not for each.
    """
    waiting = [waiter for waiter in waiters if not waiter.done()]
    if error is None:
        for waiter in waiting:
            waiter.set_result(None)
        return
    failed = None
    for waiter in waiting:
        waiter.set_exception(copied(error))
        if isinstance(waiter, asyncio.Future):
            if failed is not None:
                failed.exception()  # seen
            failed = waiter


def of_living_loops(waiters: list[Waiter]) -> list[Waiter]:
    """Leave out those of loops that are closed: nobody will ever look at them."""
    return [w for w in waiters if isinstance(w, futures.Future) or not w.get_loop().is_closed()]
