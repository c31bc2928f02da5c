"""What rows of one task and of a crowd have in common, and what those of single calls have."""

from __future__ import annotations

import pytest

from penstock.bench import BenchError, Outcome, Row
from penstock.bench._crowds import Operation
from penstock.bench._spans import in_turn, quantile


def _measure(*_: object) -> None:
    raise BenchError


ROW = Row("a.row", "a", "a row", _measure)
TABLES = "one task", "many"


@pytest.mark.parametrize(
    ("operation", "table", "unit", "figure"),
    [
        (Operation("get", "get"), "one task", "us", 2.0),
        (Operation("get", "get", crowd=True), "many", "values/s", 500_000.0),
        (Operation("sets", "get", many=10), "many", "values/s", 5_000_000.0),
    ],
)
def test_one_task_shows_its_time_and_many_what_comes_through(
    operation: Operation, table: str, unit: str, figure: float
) -> None:
    result = operation.result(ROW, {"it": [2_000.0]}, TABLES, "values/s")
    assert (result.name, result.table, result.title, result.unit) == ("a.row", table, "get", unit)
    assert result.samples == {"it": [pytest.approx(figure)]}
    outcome = Outcome(results=[result])
    assert outcome.find("a.row") is result


def test_each_time_the_next_one_is_the_first() -> None:
    assert "".join(in_turn("abc", 4)) == "abcbcacababc"
    assert list(in_turn("", 4)) == []


@pytest.mark.parametrize(
    ("spans", "share", "found"),
    [
        ([3.0], 0.99, 3.0),
        ([2.0, 1.0, 3.0], 0.5, 2.0),
        ([float(n) for n in range(100, 0, -1)], 0.99, 99.0),
        ([float(n) for n in range(101)], 0.99, 99.0),
        ([1.0, 2.0], 0.0, 1.0),
    ],
)
def test_a_quantile_is_one_of_the_spans(spans: list[float], share: float, found: float) -> None:
    assert quantile(spans, share) == found
