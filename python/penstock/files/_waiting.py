"""Waiting that ends with the ambient deadline."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from penstock.flow._deadline import sooner

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["in_time"]

T = TypeVar("T")


async def in_time(result: Awaitable[T]) -> T:
    """
    Await *result*, at most until the ambient deadline.

    Raises:
        DeadlineExceeded: It was over first.
    """
    seconds, due = sooner(None)
    if due is None:
        return await result
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await result
    except TimeoutError:
        if limit.expired():
            raise due.error() from None
        raise
