"""Arguments of the questions to a histogram's window are checked, with the exact message."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from math import inf
from types import ModuleType
from typing import Any

import pytest
from tests.clock import Clock
from tests.metering import make

NAN = float("nan")


def histogram(backend: ModuleType, clock: Clock, window: float = 60.0) -> Any:
    return make(backend, "Histogram", window=window, timer=clock)


BAD_WINDOWS: list[tuple[object, type[Exception], str]] = [
    (61, ValueError, "window must be <= 60 seconds, got 61"),
    (60.5, ValueError, "window must be <= 60 seconds, got 60.5"),
    (60.000000001, ValueError, "window must be <= 60 seconds, got 60"),
    (1e6, ValueError, "window must be <= 60 seconds, got 1e+06"),
    (timedelta(minutes=2), ValueError, "window must be <= 60 seconds, got 120"),
    (0, ValueError, "window must be > 0, got 0"),
    (-1.5, ValueError, "window must be > 0, got -1.5"),
    (NAN, ValueError, "window must be finite, got nan"),
    (inf, ValueError, "window must be finite, got inf"),
    (10**400, ValueError, f"window must be <= 9000000000 seconds, got {10**400}"),
    ("60", TypeError, "window must be a number of seconds or a timedelta, got str"),
    (True, TypeError, "window must be a number of seconds or a timedelta, got bool"),
    (Decimal(5), TypeError, "window must be a number of seconds or a timedelta, got Decimal"),
]


@pytest.mark.parametrize(("window", "kind", "message"), BAD_WINDOWS)
@pytest.mark.parametrize("observed", [False, True])
def test_a_bad_window_is_refused(
    backend: ModuleType,
    clock: Clock,
    window: Any,
    kind: type[Exception],
    message: str,
    observed: bool,
) -> None:
    metric = histogram(backend, clock)
    if observed:
        metric.observe(1)
    calls: list[Callable[[], object]] = [
        lambda: metric.count(window),
        lambda: metric.mean(window=window),
        lambda: metric.max(window),
        lambda: metric.quantile(0.5, window),
    ]
    for call in calls:
        with pytest.raises(kind) as caught:
            call()
        assert type(caught.value) is kind
        assert str(caught.value) == message


def test_the_limit_is_shown_briefly(backend: ModuleType, clock: Clock) -> None:
    metric = histogram(backend, clock, 0.1)
    with pytest.raises(ValueError) as caught:
        metric.count(1e9)
    assert str(caught.value) == "window must be <= 0.1 seconds, got 1e+09"
    with pytest.raises(ValueError, match=r"^window must be <= 1e-09 seconds, got 1e-08$"):
        histogram(backend, clock, 1e-9).count(1e-8)
    with pytest.raises(ValueError, match=r"^window must be <= 1e-09 seconds, got 5e-09$"):
        histogram(backend, clock, 1e-9).count(5e-9)


BAD_QS: list[tuple[object, type[Exception], str]] = [
    (2, ValueError, "q must be >= 0 and <= 1, got 2"),
    (-0.1, ValueError, "q must be >= 0 and <= 1, got -0.1"),
    (1.0000000000000002, ValueError, "q must be >= 0 and <= 1, got 1.0000000000000002"),
    (-5e-324, ValueError, "q must be >= 0 and <= 1, got -5e-324"),
    (NAN, ValueError, "q must be >= 0 and <= 1, got nan"),
    (inf, ValueError, "q must be >= 0 and <= 1, got inf"),
    (10**400, ValueError, f"q must be >= 0 and <= 1, got {10**400}"),
    ("0.5", TypeError, "q must be a number, got str"),
    (None, TypeError, "q must be a number, got NoneType"),
    (True, TypeError, "q must be a number, got bool"),
    (Decimal("0.5"), TypeError, "q must be a number, got Decimal"),
]


@pytest.mark.parametrize(("q", "kind", "message"), BAD_QS)
def test_a_bad_q_is_refused(
    backend: ModuleType, clock: Clock, q: Any, kind: type[Exception], message: str
) -> None:
    metric = histogram(backend, clock)
    for _ in range(2):
        with pytest.raises(kind) as caught:
            metric.quantile(q)
        assert type(caught.value) is kind
        assert str(caught.value) == message
        metric.observe(1)


def test_wrong_arguments_are_refused(backend: ModuleType, clock: Clock) -> None:
    metric = histogram(backend, clock)
    calls: list[Callable[[], object]] = [
        metric.quantile,
        lambda: metric.quantile(0.5, 1, 2),
        lambda: metric.count(1, 2),
        lambda: metric.mean(q=1),
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()
