"""
Limits in front of a simulated service, on a loop whose time jumps: the same run each time.

Many clients send the next request as soon as the last one is answered, so that only the limit
decides how many are in flight.
"""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from penstock.bench._simulation_service import Costs, Service
from penstock.bench._virtual_loop import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

__all__ = [
    "SLOW",
    "STEADY",
    "SWEEP",
    "Gate",
    "Make",
    "Phase",
    "Point",
    "Scenario",
    "Trace",
    "best",
    "simulate",
    "sweep",
]

_STEP: Final = 0.25
_EPSILON: Final = 1e-6


class Gate(Protocol):
    """What lets requests through to the service: a limiter."""

    @property
    def limit(self) -> int:
        """How many it lets through at once now."""
        ...

    async def __aenter__(self) -> object:
        """Wait for a permit."""
        ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> object:
        """Give it back."""
        ...


#: Builds a gate on the running loop; takes the clock, in seconds.
Make: TypeAlias = Callable[[Callable[[], float]], Gate]


@dataclass(frozen=True, slots=True)
class Phase:
    """Until when, in seconds from the start, the service has which speed; 1 is all well."""

    until: float
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens to the service, and who uses it."""

    title: str
    phases: tuple[Phase, ...]
    clients: int = 200
    costs: Costs = field(default_factory=Costs)
    seed: int = 20_261_121

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.phases[-1].until


#: All is well; what adapts has to find out by itself what the service bears.
STEADY: Final = Scenario("All is well", (Phase(30),))
#: The cores do a third of the work for 20 seconds.
SLOW: Final = Scenario("The service slows to a third", (Phase(20), Phase(40, 1 / 3), Phase(60)))
#: The fixed limits that are tried.
SWEEP: Final = (*range(4, 56, 4), *range(60, 101, 8))


@dataclass(slots=True)
class Trace:
    """What one run has seen: when each request was answered and how long the service took."""

    ends: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    limits: list[tuple[float, int]] = field(default_factory=list)

    def _between(self, begin: float, end: float) -> list[float]:
        return self.latencies[bisect_left(self.ends, begin) : bisect_left(self.ends, end)]

    def throughput(self, begin: float, end: float) -> float:
        """Return the answers per second."""
        return len(self._between(begin, end)) / (end - begin)

    def p95(self, begin: float, end: float) -> float:
        """Return the 95th percentile (nearest rank) of the seconds in the service; 0 for none."""
        seconds = sorted(self._between(begin, end))
        return seconds[math.ceil(0.95 * len(seconds)) - 1] if seconds else 0.0

    def mean_limit(self, begin: float, end: float) -> float:
        """Return the average of the limit."""
        found = [limit for at, limit in self.limits if begin <= at < end]
        return sum(found) / len(found)


def simulate(scenario: Scenario, make: Make) -> Trace:
    """Run *scenario* behind the gate that *make* builds."""
    return run(_simulate(scenario, make))


async def _simulate(scenario: Scenario, make: Make) -> Trace:
    clock = asyncio.get_running_loop().time
    service = Service(scenario.costs, scenario.seed)
    gate = make(clock)
    trace = Trace()
    start = clock()

    async def client() -> None:
        while True:
            async with gate:
                begin = clock()
                await service.call()
                end = clock()
            trace.ends.append(end - start)
            trace.latencies.append(end - begin)

    async with asyncio.TaskGroup() as group:  # a client that fails ends the run
        clients = [group.create_task(client()) for _ in range(scenario.clients)]
        for phase in scenario.phases:
            service.speed = phase.speed
            while (left := start + phase.until - clock()) > _EPSILON:
                trace.limits.append((phase.until - left, gate.limit))
                await asyncio.sleep(min(_STEP, left))
        for task in clients:
            task.cancel()
    return trace


@dataclass(frozen=True, slots=True)
class Point:
    """What a fixed limit gives at one speed of the service: answers per second, p95 in seconds."""

    limit: int
    throughput: float
    p95: float


def sweep(
    speed: float, make: Callable[[int], Make], limits: Iterable[int] = SWEEP
) -> Sequence[Point]:
    """Try fixed limits on a service of that speed; the first five seconds do not count."""
    scenario = Scenario("sweep", (Phase(20, speed),))
    points = []
    for limit in limits:
        trace = simulate(scenario, make(limit))
        points.append(Point(limit, trace.throughput(5, 20), trace.p95(5, 20)))
    return points


def best(points: Sequence[Point]) -> Point:
    """Return the fixed limit with the highest throughput."""
    return max(points, key=lambda point: point.throughput)
