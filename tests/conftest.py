"""Settings of every test: how hard Hypothesis tries, and whether chance is the same each time."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import HealthCheck, settings

_SLOW_MACHINES = [HealthCheck.too_slow]

settings.register_profile(
    "fast", max_examples=100, deadline=None, suppress_health_check=_SLOW_MACHINES
)
# The same examples in every run: a failure in CI is one that everybody can repeat.
settings.register_profile("ci", settings.get_profile("fast"), derandomize=True)
settings.register_profile("thorough", settings.get_profile("ci"), max_examples=1000)
settings.register_profile("explore", settings.get_profile("fast"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


@pytest.fixture(autouse=True)
def _same_chance() -> None:
    """In CI: the jitter of delays and lives is the same in every run, as the examples are."""
    default = settings.default
    if default is not None and default.derandomize:
        random.seed(0)
