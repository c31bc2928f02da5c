"""`Summary`: the count and the sum of observations."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from math import inf, isnan
from types import ModuleType
from typing import Any

import pytest
from tests.metering import Odd, make
from tests.threads import spawn


def test_it_counts_and_sums(backend: ModuleType) -> None:
    summary = make(backend, "Summary")
    assert summary._read()[:2] == (0, 0.0)
    for amount in (1, 2.5, -3, True, Decimal("0.5"), Fraction(1, 4), 0, 10**30):
        assert summary.observe(amount) is None
    count, total, _ = summary._read()
    assert (count, total) == (8, 1e30)
    assert type(count) is int
    assert type(total) is float
    summary.observe(amount=1)
    assert summary._read()[0] == 9


def test_it_takes_what_is_infinite(backend: ModuleType) -> None:
    summary = make(backend, "Summary")
    summary.observe(inf)
    assert summary._read()[:2] == (1, inf)
    summary.observe(-inf)
    count, total, _ = summary._read()
    assert count == 2
    assert isnan(total)


@pytest.mark.parametrize(
    ("amount", "kind", "message"),
    [
        ("1", TypeError, "must be real number, not str"),
        (None, TypeError, "must be real number, not NoneType"),
        (Odd(lambda: "1"), TypeError, "must be real number, not Odd"),
        (10**400, OverflowError, "int too large to convert to float"),
    ],
)
def test_what_is_no_number_is_refused(
    backend: ModuleType, amount: Any, kind: type[Exception], message: str
) -> None:
    summary = make(backend, "Summary")
    with pytest.raises(kind) as caught:
        summary.observe(amount)
    assert type(caught.value) is kind
    assert str(caught.value).endswith(message)
    assert summary._read()[:2] == (0, 0.0)


def test_wrong_arguments_are_refused(backend: ModuleType) -> None:
    summary = make(backend, "Summary")
    calls: list[Callable[[], object]] = [
        summary.observe,
        lambda: summary.observe(1, {"a": "b"}),
        lambda: summary.observe(1, amount=1),
        lambda: summary.observe(value=1),
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()
    assert summary._read()[0] == 0


def test_it_is_as_old_as_it_is(backend: ModuleType) -> None:
    before = time.time()
    summary = make(backend, "Summary")
    created = summary._read()[2]
    assert before - 0.1 <= created <= time.time() + 0.1
    summary.observe(1)
    assert summary._read()[2] == created


def test_an_amount_may_be_observed_while_it_is_observed(backend: ModuleType) -> None:
    summary = make(backend, "Summary", "label")

    class Recursive:
        def __float__(self) -> float:
            summary.labels("a").observe(10)
            summary.clear()
            return 0.5

    child = summary.labels("a")
    child.observe(Recursive())
    assert child._read()[:2] == (2, 10.5)
    assert summary._children() == []


@pytest.mark.usefixtures("interleaving")
def test_threads_lose_no_observation_and_readers_see_both_figures_agree(
    backend: ModuleType,
) -> None:
    summary = make(backend, "Summary")
    threads, rounds = 6, 2000

    def observe() -> None:
        for _ in range(rounds):
            summary.observe(2)

    def read() -> None:
        for _ in range(rounds):
            count, total, _ = summary._read()
            assert total == 2 * count

    for thread in [spawn(observe) for _ in range(threads)] + [spawn(read), spawn(read)]:
        thread.result()
    assert summary._read()[:2] == (threads * rounds, 2.0 * threads * rounds)
