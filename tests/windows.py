"""Windows of calls, made up or those of a service with a knee, for what sets limits."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from penstock.flow._policies import Window

if TYPE_CHECKING:
    from penstock.flow._policies import Policy

__all__ = ["Service", "services", "windows"]


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Any window there can be."""
    seconds = st.one_of(
        st.sampled_from([0.0, 1e-9, 0.05, 0.1, 0.2, 10.0]), st.floats(0, 1e6, allow_nan=False)
    )
    minimum, p50, p90 = sorted(draw(st.lists(seconds, min_size=3, max_size=3)))
    count = draw(st.integers(1, 1000))
    return Window(
        count=count,
        dropped=draw(st.one_of(st.just(0), st.integers(0, count))),
        p50=p50,
        p90=p90,
        mean=(p50 + minimum) / 2,
        minimum=minimum,
        peak=draw(st.integers(1, 300)),
        seconds=draw(st.floats(1e-3, 100.0)),
    )


@dataclass
class Service:
    """Takes *latency* for a call while no more than *knee* are inside, and longer in proportion."""

    knee: int
    latency: float
    #: How far the latency of a window is off, at most; 0.1 is a tenth.
    noise: float = 0.0
    seed: int = 0

    def window(self, policy: Policy, inside: int, dice: random.Random) -> Window:
        """What is measured with so many inside."""
        interval, samples = policy.window or (0.1, 10)
        latency = self.latency * max(1.0, inside / self.knee)
        latency *= 1 + self.noise * (2 * dice.random() - 1)
        seconds = max(interval, samples * latency / inside)
        count = max(samples, int(seconds * inside / latency))
        return Window(count, 0, latency, latency * 1.0001, latency, latency, inside, seconds)

    def drive(self, policy: Policy, count: int, *, demand: int = 100_000) -> list[int]:
        """Return the limits that follow from so many windows, the first included."""
        dice = random.Random(self.seed)
        limits = [policy.initial]
        for _ in range(count):
            limit = limits[-1]
            limits.append(policy.update(self.window(policy, min(limit, demand), dice), limit))
        return limits


def services(noise: float = 0.0) -> st.SearchStrategy[Service]:
    """Services of every size."""
    return st.builds(
        Service,
        knee=st.integers(1, 150),
        latency=st.sampled_from([0.001, 0.02, 0.1, 1.0, 10.0]),
        noise=st.just(noise),
        seed=st.integers(0, 1000),
    )
