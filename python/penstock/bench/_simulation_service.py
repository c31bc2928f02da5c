"""A service with a knee, simulated: more requests at once than it bears make it slower for all."""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from dataclasses import dataclass

__all__ = ["Costs", "Service"]


@dataclass(frozen=True, slots=True)
class Costs:
    """
    What a request takes.

    Args:
        cores: How many requests are worked on at once; the others wait for a core.
        work: Seconds on a core, on average (exponential) and at full speed.
        elsewhere: Seconds spent before that, on average: network, disk, other services.
        spread: How far *elsewhere* goes below and above its average, as a share of it (uniform).
        crowding: By what share work takes longer for each request that waits for a core:
            switches, cold caches, locks. Without it throughput would not fall behind the knee.
    """

    cores: int = 2
    work: float = 0.005
    elsewhere: float = 0.1
    spread: float = 0.3
    crowding: float = 0.015

    @property
    def knee(self) -> float:
        """How many requests keep all cores busy and wait for nothing, if all are average."""
        return self.cores * (self.work + self.elsewhere) / self.work


class Service:
    """
    Answers requests on the running loop; ``speed`` is that of its cores, 1 when all is well.

    The same seed gives the same requests in the same order, whatever limits them.
    """

    __slots__ = ("_busy", "_costs", "_dice", "_event_loop", "_waiting", "speed")

    def __init__(self, costs: Costs, seed: int) -> None:
        self._costs = costs
        self._dice = random.Random(seed)  # a simulation that everyone can repeat
        self._event_loop = asyncio.get_running_loop()
        self._busy = 0
        self._waiting: deque[tuple[asyncio.Future[None], float]] = deque()
        self.speed = 1.0

    def call(self) -> asyncio.Future[None]:
        """Begin a request; the future is done when it is answered."""
        costs, uniform = self._costs, self._dice.random
        answered: asyncio.Future[None] = self._event_loop.create_future()
        elsewhere = costs.elsewhere * (1 + costs.spread * (2 * uniform() - 1))
        # Logarithms differ in their last bit from machine to machine; nanoseconds do not.
        work = round(costs.work * -math.log(1 - uniform()), 9)
        self._event_loop.call_later(elsewhere, self._arrive, answered, work)
        return answered

    def _arrive(self, answered: asyncio.Future[None], work: float) -> None:
        if self._busy < self._costs.cores:
            self._busy += 1
            self._work(answered, work)
        else:
            self._waiting.append((answered, work))

    def _work(self, answered: asyncio.Future[None], work: float) -> None:
        slower = (1 + self._costs.crowding * len(self._waiting)) / self.speed
        self._event_loop.call_later(work * slower, self._finish, answered)

    def _finish(self, answered: asyncio.Future[None]) -> None:
        if not answered.done():  # cancelled with the client that waited for it
            answered.set_result(None)
        if self._waiting:
            self._work(*self._waiting.popleft())
        else:
            self._busy -= 1
