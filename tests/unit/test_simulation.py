"""The simulated service: what a request takes, where the knee is, and that it is the same twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from penstock.bench._simulation import Make, Phase, Scenario, Trace, best, simulate, sweep
from penstock.bench._simulation_service import Costs, Service
from penstock.bench._virtual_loop import run

if TYPE_CHECKING:
    from collections.abc import Callable

#: Nothing is left to chance but the order of what happens at once.
EVEN = Costs(cores=2, work=1.0, elsewhere=10.0, spread=0.0, crowding=0.0)


class Slots(asyncio.Semaphore):
    """A fixed limit that needs nothing of what is simulated."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


def slots(limit: int) -> Make:
    return lambda clock: Slots(limit)


def seconds_of(costs: Costs, requests: int, *, speed: float = 1.0) -> list[float]:
    """When each of some requests that begin at once is answered."""

    async def main() -> list[float]:
        service = Service(costs, seed=7)
        service.speed = speed
        clock = asyncio.get_running_loop().time
        begin = clock()

        async def one() -> float:
            await service.call()
            return clock() - begin

        return await asyncio.gather(*[one() for _ in range(requests)])

    return sorted(run(main()))


# the service


def test_a_request_alone_takes_its_time_elsewhere_and_its_work() -> None:
    (whole,) = seconds_of(EVEN, 1)
    (elsewhere,) = seconds_of(replace(EVEN, work=1e-9), 1)
    assert elsewhere == pytest.approx(10.0)
    assert whole > 10.0


def test_requests_take_different_times_but_about_what_is_said_on_average() -> None:
    costs = replace(EVEN, cores=10_000, elsewhere=3.0, spread=0.5, work=2.0)
    found = seconds_of(costs, 4_000)
    assert sum(found) / len(found) == pytest.approx(5.0, rel=0.05)
    assert 1.5 < found[0] < 1.7
    alone = seconds_of(replace(costs, work=1e-9), 4_000)
    assert alone[0] == pytest.approx(1.5, abs=0.01)
    assert alone[-1] == pytest.approx(4.5, abs=0.01)


def test_cores_that_are_slower_take_longer_for_work_only() -> None:
    (usual,) = seconds_of(EVEN, 1)
    (slow,) = seconds_of(EVEN, 1, speed=0.25)
    assert slow - 10 == pytest.approx(4 * (usual - 10))


def test_more_requests_than_cores_wait_for_one() -> None:
    many = seconds_of(replace(EVEN, work=1e-6), 2_000)
    few = seconds_of(replace(EVEN, work=1e-6, cores=2_000), 2_000)
    work = sum(few) - 2_000 * 10
    assert many[-1] - 10 == pytest.approx(work / 2, rel=0.01)


def test_requests_that_wait_slow_the_others_down() -> None:
    free = seconds_of(EVEN, 100)
    crowded = seconds_of(replace(EVEN, crowding=0.01), 100)
    # 98 wait at first, none at last: half of that on average.
    assert (crowded[-1] - 10) / (free[-1] - 10) == pytest.approx(1.49, abs=0.1)


def test_the_knee_is_where_average_requests_keep_all_cores_busy() -> None:
    assert Costs(cores=2, work=0.005, elsewhere=0.1).knee == pytest.approx(42)


# runs


def scenario(**changes: object) -> Scenario:
    usual = Scenario("test", (Phase(10),), clients=40)
    return replace(usual, **changes)  # type: ignore[arg-type]


def test_the_same_run_gives_the_same_trace() -> None:
    traces = [simulate(scenario(), slots(20)) for _ in range(2)]
    assert traces[0] == traces[1]
    assert simulate(scenario(seed=2), slots(20)) != traces[0]


def test_no_more_than_the_limit_are_in_the_service() -> None:
    trace = simulate(scenario(), slots(10))
    busy = sum(trace.latencies) / 10
    assert 9.5 < busy <= 10
    assert {limit for _, limit in trace.limits} == {10}


def test_clients_send_the_next_request_as_soon_as_they_have_an_answer() -> None:
    trace = simulate(scenario(clients=3), slots(10))
    assert sum(trace.latencies) / 10 == pytest.approx(3, rel=0.05)


def test_each_phase_has_its_speed() -> None:
    trace = simulate(scenario(phases=(Phase(10), Phase(20, 0.1), Phase(30))), slots(40))
    rates = [trace.throughput(begin, begin + 10) for begin in (0, 10, 20)]
    assert rates[1] < rates[0] / 4
    assert rates[2] > rates[1] * 2
    assert max(trace.ends) < 30


def test_a_client_that_fails_ends_the_run() -> None:
    class Broken(Slots):
        async def __aenter__(self) -> None:
            await super().__aenter__()
            raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:
        simulate(scenario(), lambda clock: Broken(3))
    assert caught.group_contains(ZeroDivisionError)


def test_the_gate_gets_the_clock_that_jumps() -> None:
    clocks: list[Callable[[], float]] = []

    def make(clock: Callable[[], float]) -> Slots:
        clocks.append(clock)
        return Slots(1)

    simulate(scenario(), make)
    (clock,) = clocks
    assert clock() == pytest.approx(1010)


# figures


def test_figures_are_of_their_stretch_only() -> None:
    ends = [1.0, 1.5, 2.0, 2.5, 3.0]
    trace = Trace(ends, [0.1, 0.2, 0.3, 0.4, 0.5], [(0.0, 1), (1.0, 2), (2.0, 6), (3.0, 100)])
    assert trace.throughput(1, 3) == 2.0
    assert trace.p95(1, 2) == 0.2
    assert trace.p95(5, 6) == 0.0
    assert trace.mean_limit(1, 3) == 4.0


def test_p95_is_the_nearest_rank() -> None:
    numbers = [float(n) for n in range(1, 101)]
    assert Trace([0.0] * 100, numbers[::-1]).p95(0, 1) == 95.0
    assert Trace([0.0] * 20, numbers[:20]).p95(0, 1) == 19.0


def test_throughput_has_a_knee_behind_which_it_falls_and_latency_rises() -> None:
    points = sweep(1.0, slots, (10, 30, 42, 70, 100))
    rates = [point.throughput for point in points]
    most = best(points)
    assert most.limit == 42  # where Costs says that the knee is
    assert rates[:3] == sorted(rates[:3])
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert points[-1].p95 > 2 * most.p95


def test_the_knee_of_a_slower_service_is_at_a_lower_limit() -> None:
    limits = (10, 20, 42, 60)
    assert best(sweep(1 / 3, slots, limits)).limit == 20
