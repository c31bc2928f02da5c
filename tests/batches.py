"""What tests of batchers share: handlers that tell what they were given, and the books."""

from __future__ import annotations

import asyncio
from typing import Any

from penstock.batching import Batcher

__all__ = ["Handler", "assert_balanced", "echo", "outcomes"]


async def echo(items: list[Any]) -> list[Any]:
    """Return the items."""
    return items


class Handler:
    """
    Doubles numbers, in batches that wait until they are released.

    Args:
        held: Whether they wait at all.
    """

    def __init__(self, *, held: bool = False) -> None:
        self.batches: list[list[Any]] = []
        self.cancelled: list[int] = []
        self.running = self.most = 0
        self.held = held
        self._gates: list[asyncio.Event] = []

    async def __call__(self, items: list[Any]) -> list[Any]:
        number = len(self.batches)
        self.batches.append(items.copy())
        gate = asyncio.Event()
        self._gates.append(gate)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if self.held:
                await gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        finally:
            self.running -= 1
        return [item * 2 for item in items]

    @property
    def items(self) -> list[Any]:
        """All that it was given, in this order."""
        return [item for batch in self.batches for item in batch]

    def release(self) -> None:
        """Let the batches end that there are, and all that come."""
        self.held = False
        for gate in self._gates:
            gate.set()


def assert_balanced(batcher: Batcher[Any, Any]) -> None:
    """Nothing is left to do, and every item came to exactly one end."""
    stats = batcher.stats()
    assert (stats.pending, stats.in_flight, stats.waiting) == (0, 0, 0)
    ends = (stats.completed, stats.failed, stats.cancelled, stats.discarded)
    assert all(count >= 0 for count in ends)
    assert stats.submitted == sum(ends) + stats.dropped + stats.timeouts, stats
    reasons = ("full", "weight", "linger", "flush", "close", "idle")
    assert stats.batches == sum(getattr(stats, f"flushes_{reason}") for reason in reasons)


async def outcomes(handler: Any, count: int = 3) -> list[Any]:
    """What becomes of so many items that are handled together."""
    batcher: Batcher[int, Any] = Batcher(handler, linger=0)
    futures = list(map(batcher.submit, range(count)))
    found = await asyncio.gather(*futures, return_exceptions=True)
    await batcher.aclose()
    assert_balanced(batcher)
    stats = batcher.stats()
    failed = [result for result in found if isinstance(result, BaseException)]
    assert (stats.completed, stats.failed) == (count - len(failed), len(failed))
    return found
