"""How near a quantile of a window comes to the exact one."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import ceil, inf, nextafter
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.backends import BACKENDS, load_backend
from tests.clock import Clock
from tests.metering import make

#: (g - 1) / (g + 1) for buckets that grow by g = 2 ** (1 / 32) is 1.083 %.
ERROR = 0.01084
QS = [0, 1e-9, 0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1 - 1e-9, 1]


def exact(amounts: list[float], q: float) -> float:
    """The quantile by nearest rank."""
    return sorted(amounts)[max(1, ceil(q * len(amounts))) - 1]


def observe(backend: ModuleType, amounts: list[float]) -> Any:
    metric = make(backend, "Histogram")
    for amount in amounts:
        metric.observe(amount)
    return metric


def check(backend: ModuleType, amounts: list[float]) -> None:
    metric = observe(backend, amounts)
    for q in QS:
        assert metric.quantile(q) == pytest.approx(exact(amounts, q), rel=ERROR, abs=0), q


Draw = Callable[[random.Random], float]
DISTRIBUTIONS: dict[str, Draw] = {
    "uniform": lambda r: r.uniform(0, 10),
    "far from zero": lambda r: r.uniform(1000, 1001),
    "lognormal": lambda r: r.lognormvariate(-3, 2),
    "exponential": lambda r: r.expovariate(20),
    "bimodal": lambda r: r.gauss(*(r.choice([(0.001, 0.0001), (5, 0.5)]))),
    "constant": lambda r: 0.1,
    "two values": lambda r: r.choice([0.1, 0.3]),
    "whole": lambda r: r.randrange(100),
    "negative": lambda r: -r.lognormvariate(0, 1),
    "mixed": lambda r: r.gauss(0, 1),
    "mostly zero": lambda r: r.choice([0, 0, 0, r.gauss(0, 100)]),
    "tiny": lambda r: r.uniform(1, 2) * 2.0**-120,
    "huge": lambda r: r.uniform(1e300, 1e308),
    "negative and huge": lambda r: r.choice([-1e308, -1.7e308, 1e-30]),
    "wide": lambda r: 2 ** r.uniform(-30, 30),
    "powers of two": lambda r: 2.0 ** r.randrange(-20, 20),
    "bounds of buckets": lambda r: 2 ** (r.randrange(-320, 320) / 32),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("size", [1, 2, 3, 10, 100, 5000])
def test_quantiles_are_within_1_1_percent(backend: ModuleType, name: str, size: int) -> None:
    generator = random.Random(f"{name} {size}")
    check(backend, [DISTRIBUTIONS[name](generator) for _ in range(size)])


@pytest.mark.parametrize("name", BACKENDS)
@given(
    st.lists(
        st.floats(2.0**-127, allow_nan=False)
        | st.floats(max_value=-(2.0**-127), allow_nan=False)
        | st.just(0.0),
        min_size=1,
        max_size=30,
    )
)
def test_quantiles_of_anything_are_within_1_1_percent(name: str, amounts: list[float]) -> None:
    check(load_backend(name), amounts)


@pytest.mark.parametrize(
    "value",
    [0.1, -0.1, 1.0, 3.14159, 1e-30, -1e300, 0.0, 2.0**-128, 5e-324, -5e-324, inf, -inf, 1.7e308],
)
def test_quantiles_of_a_constant_are_exact(backend: ModuleType, value: float) -> None:
    metric = observe(backend, [value] * 7)
    assert {metric.quantile(q) for q in QS} == {value}
    assert metric.max() == value


def test_quantiles_never_leave_the_range_of_the_window(backend: ModuleType) -> None:
    metric = observe(backend, [1.0001, 1.02])
    assert 1.0001 <= metric.quantile(0) <= 1.02
    assert metric.quantile(0) <= metric.quantile(1) <= 1.02
    assert observe(backend, [1.0001, 5]).quantile(1) == pytest.approx(5, rel=ERROR)
    assert observe(backend, [1.0001, 5]).quantile(1) <= 5


def test_the_range_is_that_of_the_window_asked_for(backend: ModuleType) -> None:
    clock = Clock()
    metric = make(backend, "Histogram", timer=clock)
    metric.observe(1.0)
    metric.observe(1.02)
    clock.now = 30.0
    metric.observe(1.01)
    assert {metric.quantile(q, 5) for q in QS} == {1.01}
    assert metric.quantile(1) >= metric.quantile(0)


def test_buckets_of_all_steps_are_merged(backend: ModuleType) -> None:
    clock = Clock()
    metric = make(backend, "Histogram", timer=clock)
    generator = random.Random(1)
    amounts = []
    for _ in range(2000):
        amount = generator.gauss(0, 5) * 10 ** generator.randrange(-3, 3)
        metric.observe(amount)
        amounts.append(amount)
        clock.now = min(clock.now + 0.03, 59.9)
    for q in QS:
        assert metric.quantile(q) == pytest.approx(exact(amounts, q), rel=ERROR, abs=0)


def test_ranks_are_the_nearest(backend: ModuleType) -> None:
    metric = observe(backend, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    for tenth in range(1, 11):
        found = metric.quantile(tenth / 10)
        assert found == pytest.approx(exact(list(range(1, 11)), tenth / 10), rel=ERROR)
    assert metric.quantile(0.1 + 1e-9) == pytest.approx(2, rel=ERROR)
    assert metric.quantile(0) == pytest.approx(1, rel=ERROR)


def test_next_to_nothing_is_nothing(backend: ModuleType) -> None:
    smallest = 2.0**-128
    metric = observe(backend, [-smallest, -5e-324, -0.0, 0, 5e-324, smallest, 1, -1])
    assert [metric.quantile(number / 8) for number in range(2, 8)] == [0.0] * 6
    above = nextafter(smallest, 1)
    metric = observe(backend, [above, -above, 1, -1])
    assert metric.quantile(0.75) == pytest.approx(above, rel=ERROR, abs=0)
    assert metric.quantile(0.5) == pytest.approx(-above, rel=ERROR, abs=0)


class TestOctaves:
    """A step tells 64 powers of two apart; the rest goes to the nearest of them."""

    @staticmethod
    def fill(backend: ModuleType, octaves: list[int], sign: int = 1) -> Any:
        return observe(backend, [sign * 1.5 * 2.0**octave for octave in octaves])

    @staticmethod
    def ranked(metric: Any, rank: int) -> float:
        return metric.quantile((rank - 0.5) / metric.count())

    def test_64_are_told_apart(self, backend: ModuleType) -> None:
        octaves = list(range(-30, 34))
        metric = self.fill(backend, octaves)
        for rank, octave in enumerate(octaves, start=1):
            assert self.ranked(metric, rank) == pytest.approx(1.5 * 2.0**octave, rel=ERROR)
        metric.observe(1.1 * 2.0**33)
        assert self.ranked(metric, 64) == pytest.approx(1.1 * 2.0**33, rel=ERROR)

    @pytest.mark.parametrize("sign", [1, -1])
    def test_what_is_larger_than_all_goes_to_the_largest(
        self, backend: ModuleType, sign: int
    ) -> None:
        metric = self.fill(backend, list(range(64)), sign)
        metric.observe(sign * 1.5 * 2.0**100)
        found = self.ranked(metric, 65 if sign > 0 else 1)
        assert found == pytest.approx(sign * 2.0**64, rel=0.022)
        assert abs(found) <= 2.0**64
        assert metric.count() == 65
        assert metric.mean() == sign * (1.5 * (2.0**64 - 1) + 1.5 * 2.0**100) / 65

    @pytest.mark.parametrize("sign", [1, -1])
    def test_what_is_nearer_to_zero_than_all_goes_to_the_nearest(
        self, backend: ModuleType, sign: int
    ) -> None:
        metric = self.fill(backend, list(range(64)), sign)
        metric.observe(sign * 1.5 * 2.0**-20)
        found = self.ranked(metric, 1 if sign > 0 else 65)
        assert found == pytest.approx(sign, rel=0.022)
        assert abs(found) >= 1

    @pytest.mark.parametrize("sign", [1, -1])
    def test_what_lies_between_goes_to_the_nearer(self, backend: ModuleType, sign: int) -> None:
        metric = self.fill(backend, [*range(63), 70], sign)
        metric.observe(sign * 1.5 * 2.0**67)
        metric.observe(sign * 1.5 * 2.0**65)
        between = [self.ranked(metric, rank) for rank in ((64, 65) if sign > 0 else (3, 2))]
        assert between == [
            pytest.approx(sign * 2.0**63, rel=0.022),
            pytest.approx(sign * 2.0**70, rel=0.022),
        ]

    def test_of_two_equally_near_it_is_the_lower(self, backend: ModuleType) -> None:
        metric = self.fill(backend, list(range(0, 128, 2)))
        metric.observe(1.5 * 2.0**5)
        assert self.ranked(metric, 4) == pytest.approx(2.0**5, rel=0.022)
        metric = self.fill(backend, list(range(0, 128, 2)), -1)
        metric.observe(-1.5 * 2.0**5)
        assert self.ranked(metric, 62) == pytest.approx(-(2.0**6), rel=0.022)

    def test_the_other_sign_goes_next_to_zero(self, backend: ModuleType) -> None:
        metric = self.fill(backend, list(range(64)), -1)
        metric.observe(1e10)
        assert self.ranked(metric, 65) == pytest.approx(-1, rel=0.022)
        assert metric.max() == 1e10

    def test_both_signs_share_the_64(self, backend: ModuleType) -> None:
        metric = self.fill(backend, list(range(32)))
        for octave in range(33):
            metric.observe(-1.5 * 2.0**octave)
        assert self.ranked(metric, 1) == pytest.approx(-(2.0**32), rel=0.022)

    def test_zero_and_infinity_take_no_place(self, backend: ModuleType) -> None:
        metric = make(backend, "Histogram")
        for amount in (0, inf, -inf):
            metric.observe(amount)
        for octave in range(64):
            metric.observe(1.5 * 2.0**octave)
        for amount in (0, inf, -inf):
            metric.observe(amount)
        assert [self.ranked(metric, rank) for rank in (1, 2, 3, 4)] == [-inf, -inf, 0, 0]
        assert self.ranked(metric, 5) == pytest.approx(1.5, rel=ERROR)
        assert self.ranked(metric, 68) == pytest.approx(1.5 * 2.0**63, rel=ERROR)
        assert [self.ranked(metric, rank) for rank in (69, 70)] == [inf, inf]

    def test_each_step_has_its_own(self, backend: ModuleType) -> None:
        clock = Clock()
        metric = make(backend, "Histogram", timer=clock)
        for octave in range(64):
            metric.observe(1.5 * 2.0**octave)
        clock.now = 5.0
        metric.observe(1.5 * 2.0**500)
        assert self.ranked(metric, 65) == pytest.approx(1.5 * 2.0**500, rel=ERROR)
