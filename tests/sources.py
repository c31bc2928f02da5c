"""Async generators for a test to watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

__all__ = ["Source", "wait"]


async def wait(item: int) -> int:
    await asyncio.sleep(1)
    return item


class Source:
    """An async generator that knows what was taken, and whether it was closed."""

    def __init__(self, length: int | None = None, *, every: float = 0.0) -> None:
        self.length = length
        self.every = every
        self.taken = 0
        self.is_closed = False
        self.tasks: set[asyncio.Task[object] | None] = set()

    async def items(self) -> AsyncGenerator[int, None]:
        try:
            while self.length is None or self.taken < self.length:
                self.tasks.add(asyncio.current_task())
                await asyncio.sleep(self.every)
                self.taken += 1
                yield self.taken - 1
        finally:
            self.tasks.add(asyncio.current_task())
            await asyncio.sleep(0)  # has something to wait for while it closes
            self.is_closed = True
