"""The row of tool calls: who takes part, and what is checked."""

from __future__ import annotations

from tests.benching import SUFFIX, plan

from penstock.bench import function, run_rows
from penstock.bench._functions_contenders import FUNCTIONS
from penstock.bench._functions_rows import FUNCTIONS_ROWS

TAKING_PART = [
    c for c in FUNCTIONS if c.backend is None or c.name == f"penstock TieredCache.cached{SUFFIX}"
]


def test_penstock_takes_part_and_so_does_the_file_itself() -> None:
    outcome = run_rows(FUNCTIONS_ROWS, TAKING_PART, plan()).outcome
    assert outcome.failed == {}
    (result,) = outcome.results
    assert len(result.samples) == 2


def test_something_else_than_the_file_is_refused() -> None:
    wrong = function("wrong", ("tool",), "async def f(path):\n    return 'x'")
    (failure,) = run_rows(FUNCTIONS_ROWS, [wrong], plan()).outcome.failed.values()
    assert "something else was read" in failure
