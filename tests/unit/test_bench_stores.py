"""The rows of stores in a file: what is in the loop, what is checked."""

from __future__ import annotations

import pytest
from tests.benching import SUFFIX, plan

from penstock.bench import flow, run_rows
from penstock.bench._stores_contenders import STORES
from penstock.bench._stores_rows import STORES_ROWS

OURS = [c for c in STORES if c.name == f"penstock SqliteStore{SUFFIX}"]
THEIRS = [c for c in STORES if c.backend is None]
START = "async def start():\n    return {}\nasync def end():\n    pass\n"


@pytest.mark.parametrize("row", STORES_ROWS, ids=lambda row: row.name)
def test_penstock_and_the_standard_library_take_part(row: object) -> None:
    outcome = run_rows([row], [*OURS, *THEIRS], plan()).outcome  # type: ignore[list-item]
    assert outcome.failed == {}
    (result,) = outcome.results
    assert len(result.samples) == 2


def test_a_value_that_is_not_the_one_that_was_set_is_refused() -> None:
    texts = {"get": "found = c.get(key)", "set": "c[key] = {**value, 'id': 0}"}
    wrong = flow("wrong", "stores", START, texts)
    (failure,) = run_rows(STORES_ROWS[:1], [wrong], plan()).outcome.failed.values()
    assert failure.startswith("ExceptionGroup")
