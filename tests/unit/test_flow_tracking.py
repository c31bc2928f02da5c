"""What is named is among the metrics, kind by kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client import REGISTRY

from penstock import CircuitBreaker, Executor, Limiter, RateLimiter, hedge, retry
from penstock.flow import _families
from penstock.metrics import generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable


async def _answer() -> int:
    return 42


KINDS: dict[str, tuple[Callable[[str], object], _families.Fields]] = {
    "limiter": (lambda name: Limiter(3, name=name), _families.LIMITER_FIELDS),
    "rate_limiter": (lambda name: RateLimiter(5, name=name), _families.RATE_LIMITER_FIELDS),
    "circuit_breaker": (lambda name: CircuitBreaker(name=name), _families.BREAKER_FIELDS),
    "retry": (lambda name: retry(name=name)(_answer), _families.RETRY_FIELDS),
    "hedge": (lambda name: hedge(name=name)(_answer), _families.HEDGE_FIELDS),
    "executor": (lambda name: Executor(1, name=name), _families.EXECUTOR_FIELDS),
}


def sample(kind: str, attribute: str, type_: str, name: str) -> float | None:
    suffix = "_total" if type_ == "counter" else ""
    return REGISTRY.get_sample_value(f"penstock_{kind}_{attribute}{suffix}", {"name": name})


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_of_a_named_component_is_shown(kind: str) -> None:
    make, fields = KINDS[kind]
    component = make(f"tracked {kind}")
    stats = component.stats()  # type: ignore[attr-defined]
    for attribute, type_, _ in fields:
        value = getattr(stats, attribute)
        shown = sample(kind, attribute, type_, f"tracked {kind}")
        # What a component does not know it does not show.
        assert shown == (None if value is None else float(value))


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_is_in_the_statistics(kind: str) -> None:
    make, fields = KINDS[kind]
    stats = make("for its fields").stats()  # type: ignore[attr-defined]
    shown = {attribute for attribute, _, _ in fields}
    own = set(type(stats).__slots__)
    # A circuit's state is shown as numbers.
    assert own - shown <= {"state"}


def test_what_was_counted_is_on_the_page() -> None:
    limiter = Limiter(2, name="counted limiter")
    assert limiter.try_acquire()
    page = generate_latest().decode()
    assert 'penstock_limiter_in_use{name="counted limiter"} 1.0' in page
    assert 'penstock_limiter_acquired_total{name="counted limiter"} 1.0' in page


def test_a_component_that_is_gone_is_not_shown() -> None:
    limiter = Limiter(2, name="gone limiter")
    assert sample("limiter", "limit", "gauge", "gone limiter") == 2.0
    del limiter
    assert sample("limiter", "limit", "gauge", "gone limiter") is None
