"""`resources`: the limit gives way when CPU or memory is nearly used up, and comes back."""

from __future__ import annotations

import gc
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.cgroups import GIB, MIB, Tree, v1, v2
from tests.clock import Clock
from tests.loading import settle

from penstock.bench._virtual_loop import run
from penstock.flow._limiter import Limiter
from penstock.flow._resource_policy import ResourcePolicy, resources
from penstock.flow._resources import ResourceReading, Resources

#: No thread takes a reading within a test.
NEVER: Any = {"interval": 86400}


def reading(cpu: float | None, memory: float | None = 0.1) -> ResourceReading:
    return ResourceReading(cpu=cpu, memory=memory)


class Container:
    """A faked container, the real sampler in it, and the limiter that follows it."""

    def __init__(self, tree: Tree, **options: Any) -> None:
        self.tree = tree
        self.clock = Clock(1000.0)
        self.used = 0.0
        tree.quota(2)
        tree.memory_limit(GIB)
        tree.cpu(0)
        tree.memory(100 * MIB)
        self.sampler = Resources(root=tree.root, timer=self.clock)
        self.policy = resources(sampler=self.sampler, **(NEVER | options))
        self.limiter = Limiter(self.policy)

    def second(self, cpu: float = 0.1, memory: float = 0.1) -> int:
        """Let a second pass with so much in use, take the reading, and return the limit."""
        self.clock.advance(1)
        self.used += 2 * cpu
        self.tree.cpu(self.used)
        # The rest is file cache, which does not count.
        self.tree.memory(GIB, round(GIB * (1 - memory)))
        assert self.policy.step(self.sampler.read()) == self.policy.limit == self.limiter.limit
        return self.limiter.limit


@pytest.mark.parametrize("make", [v1, v2])
class TestFakedContainer:
    """From the files of the kernel to the permits, all code being the real one."""

    def test_fifty_to_ten_and_back(self, tmp_path: Path, make: Any) -> None:
        container = Container(make(tmp_path))
        assert container.limiter.limit == 50
        limits = [container.second(cpu=0.95) for _ in range(5)]
        # The first reading has no rate to go by.
        assert limits == [50, 25, 12, 10, 10]
        limits = [container.second(cpu=0.3) for _ in range(10)]
        assert limits == [15, 20, 25, 30, 35, 40, 45, 50, 50, 50]

    def test_memory_does_the_same(self, tmp_path: Path, make: Any) -> None:
        container = Container(make(tmp_path))
        limits = [container.second(memory=0.9) for _ in range(4)]
        assert limits == [25, 12, 10, 10]
        assert container.second(memory=0.82) == 10
        limits = [container.second(memory=0.5) for _ in range(8)]
        assert limits == [15, 20, 25, 30, 35, 40, 45, 50]

    def test_permits_that_are_held_stay_held(self, tmp_path: Path, make: Any) -> None:
        container = Container(make(tmp_path), max_limit=4, min_limit=1, step=1)
        limiter = container.limiter
        log: list[int] = []

        async def job(number: int) -> None:
            async with limiter:
                log.append(number)
                await settle(2)

        async def main() -> None:
            container.second()
            for _ in range(4):
                assert limiter.try_acquire()
            assert container.second(cpu=1.0) == 2
            assert (limiter.in_use, limiter.available) == (4, 0)
            waiting = [run_job(job(number)) for number in range(3)]
            await settle()
            limiter.release()
            limiter.release()
            await settle()
            assert log == []  # there are as many as the lower limit allows
            limiter.release()
            await settle()
            assert log == [0, 1, 2]
            for each in waiting:
                await each

        def run_job(work: Any) -> Any:
            import asyncio

            return asyncio.ensure_future(work)

        run(main())
        assert limiter.in_use == 1

    def test_growth_lets_those_in_who_wait(self, tmp_path: Path, make: Any) -> None:
        import asyncio

        container = Container(make(tmp_path), max_limit=4, min_limit=1, step=2)

        async def main() -> None:
            for _ in range(3):
                container.second(cpu=1.0)
            assert container.limiter.limit == 1
            assert container.limiter.try_acquire()
            waiting = [asyncio.ensure_future(container.limiter.acquire()) for _ in range(3)]
            await settle()
            assert container.limiter.waiting == 3
            assert container.second() == 3
            await settle()
            assert [each.done() for each in waiting] == [True, True, False]
            container.second()
            await asyncio.gather(*waiting)

        run(main())

    def test_more_memory_given_in_place_lets_it_grow(self, tmp_path: Path, make: Any) -> None:
        container = Container(make(tmp_path))
        for _ in range(3):
            container.second(memory=0.9)
        container.tree.memory_limit(2 * GIB)
        container.clock.advance(30)
        assert container.second(memory=0.9) == 15

    def test_what_cannot_be_read_moves_nothing(self, tmp_path: Path, make: Any) -> None:
        container = Container(make(tmp_path))
        container.second()
        assert container.second(cpu=1.0) == 25
        container.policy.step(ResourceReading())
        container.policy.step(ResourceReading())
        assert container.limiter.limit == 25

    def test_a_clock_that_jumps_moves_nothing_by_itself(self, tmp_path: Path, make: Any) -> None:
        container = Container(make(tmp_path))
        container.second()
        assert container.second(cpu=1.0) == 25
        container.clock.advance(-500)
        assert container.second(cpu=1.0) == 25
        assert container.second(cpu=1.0) == 12

    def test_counters_that_go_back_move_nothing(self, tmp_path: Path, make: Any) -> None:
        container = Container(make(tmp_path))
        container.used = 1e6
        container.second()
        container.second(cpu=1.0)
        container.used = 0.0
        assert container.second(cpu=1.0) == 25
        assert container.second(cpu=1.0) == 12


class TestSteps:
    """What follows from a reading."""

    def steps(self, *readings: ResourceReading, **options: Any) -> list[int]:
        policy = resources(**options)
        return [policy.step(each) for each in readings]

    @pytest.mark.parametrize("cpu", [0.751, 0.76, 0.79, 0.80])
    def test_between_the_marks_it_holds(self, cpu: float) -> None:
        high, between = reading(0.9), reading(cpu)
        assert self.steps(high, between, between) == [25, 25, 25]

    def test_marks_are_exceeded_not_reached(self) -> None:
        assert self.steps(reading(0.80), reading(0.1, 0.85)) == [50, 50]
        assert self.steps(reading(0.8001), reading(0.1, 0.8501)) == [25, 12]

    def test_both_must_be_low_for_it_to_grow(self) -> None:
        assert self.steps(reading(0.9), reading(0.1, 0.82), reading(0.78, 0.1)) == [25, 25, 25]

    def test_one_high_is_enough_to_shrink(self) -> None:
        assert self.steps(reading(0.9, 0.0), reading(0.0, 0.9)) == [25, 12]

    def test_it_never_leaves_its_bounds(self) -> None:
        high, low = [reading(1.5, 2.0)] * 9, [reading(0.0, 0.0)] * 9
        assert set(self.steps(*high, max_limit=5, min_limit=2)) == {2}
        assert set(self.steps(*low, max_limit=5, min_limit=2)) == {5}
        assert self.steps(*high, max_limit=1, min_limit=1) == [1] * 9

    def test_the_step_is_a_tenth_unless_given(self) -> None:
        high, low = reading(0.9), reading(0.1)
        assert self.steps(high, low, max_limit=200) == [100, 120]
        assert self.steps(high, low, max_limit=6, min_limit=1) == [3, 4]
        assert self.steps(high, low, step=13) == [25, 38]
        assert self.steps(high, low, step=1000) == [25, 50]

    def test_a_figure_that_never_comes_is_left_out(self) -> None:
        high, low = reading(None, 0.9), reading(None, 0.1)
        # Missing once, it may still come, and be too high.
        assert self.steps(low, high, low, low, low) == [50, 25, 30, 35, 40]
        high, low = reading(0.9, None), reading(0.1, None)
        assert self.steps(high, low, low) == [25, 30, 35]

    def test_a_figure_that_is_missing_once_holds_it(self) -> None:
        high, low, missing = reading(0.9), reading(0.1), reading(None)
        assert self.steps(high, low, missing, low, missing) == [25, 30, 30, 35, 35]

    def test_a_high_figure_counts_whatever_the_other_is(self) -> None:
        assert self.steps(reading(None, 0.9), reading(0.9, None)) == [25, 12]

    def test_nonsense_holds_it(self) -> None:
        nonsense = reading(float("nan"), float("nan"))
        assert self.steps(reading(0.9), nonsense, nonsense, nonsense) == [25, 25, 25, 25]

    def test_hysteresis_may_be_none(self) -> None:
        options: Any = {"hysteresis": 0, "cpu": 0.5}
        readings = [reading(0.51), reading(0.5), reading(0.49)]
        assert self.steps(*readings, **options) == [25, 25, 30]


class TestPolicy:
    """What a `Limiter` asks of it."""

    def test_it_starts_at_the_highest_limit(self) -> None:
        policy = resources(max_limit=70)
        assert (policy.initial, policy.max_limit, policy.limit) == (70, 70, 70)
        assert (policy.min_limit, policy.interval, policy.sampler) == (10, 1.0, None)

    def test_calls_do_not_change_it(self) -> None:
        policy = resources()
        assert policy.window is None
        assert policy.update(object(), 17) == 17

    def test_it_serves_one_limiter(self) -> None:
        policy = resources(**NEVER)
        limiter = Limiter(policy)
        with pytest.raises(ValueError, match="already serves another limiter, make another"):
            Limiter(policy)
        with pytest.raises(ValueError, match="already serves another limiter, make another"):
            policy.bind(limiter)

    def test_after_the_end_of_its_limiter_it_may_serve_another(self) -> None:
        policy = resources(**NEVER)
        limiter = Limiter(policy)
        assert policy.step(reading(0.9)) == limiter.limit == 25
        del limiter
        gc.collect()
        assert policy.step(reading(0.9)) == 12
        assert Limiter(policy).limit == policy.limit == 50

    def test_a_limiter_may_be_made_in_one_go(self) -> None:
        limiter = Limiter.resources(max_limit=30, min_limit=3, interval=timedelta(days=1))
        assert isinstance(limiter.policy, ResourcePolicy)
        assert limiter.limit == 30
        assert limiter.policy.min_limit == 3

    def test_its_limiter_cannot_be_resized_by_hand(self) -> None:
        with pytest.raises(RuntimeError, match="only a fixed one"):
            Limiter(resources(**NEVER)).resize(5)

    def test_repr(self) -> None:
        assert repr(resources()) == "resources(max_limit=50, min_limit=10)"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"max_limit": 5}, r"max_limit must be >= min_limit \(10\), got 5"),
            ({"min_limit": 0}, "min_limit must be >= 1, got 0"),
            ({"cpu": 0}, "cpu must be > 0 and <= 1, got 0"),
            ({"memory": 1.01}, "memory must be > 0 and <= 1, got 1.01"),
            ({"cpu": float("nan")}, "cpu must be finite, got nan"),
            ({"step": 0}, "step must be >= 1, got 0"),
            ({"interval": 0}, "interval must be > 0, got 0"),
            ({"interval": 0.009}, "interval must be >= 0.01, got 0.009"),
            ({"hysteresis": -0.1}, "hysteresis must be >= 0 and below both marks, got -0.1"),
            ({"hysteresis": 0.8}, "hysteresis must be >= 0 and below both marks, got 0.8"),
        ],
    )
    def test_values_out_of_range_are_refused(self, options: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            resources(**options)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"max_limit": 5.0}, "max_limit must be an int, got float"),
            ({"min_limit": True}, "min_limit must be an int, got bool"),
            ({"cpu": "0.8"}, "cpu must be a number, got str"),
            ({"memory": None}, "memory must be a number, got NoneType"),
            ({"step": 1.5}, "step must be an int, got float"),
            ({"interval": None}, "interval must be a number of seconds or a timedelta"),
            ({"hysteresis": "x"}, "hysteresis must be a number, got str"),
            ({"sampler": 5}, r"sampler must have a read\(\), got int"),
        ],
    )
    def test_wrong_types_are_refused(self, options: Any, message: str) -> None:
        with pytest.raises(TypeError, match=message):
            resources(**options)
