"""The rows of caches in tiers: what is in the loop, what is checked."""

from __future__ import annotations

import os
import shutil

import pytest
from tests.benching import plan

import penstock
from penstock.bench import flow, run_rows
from penstock.bench._tiers_contenders import TIERS
from penstock.bench._tiers_rows import TIERS_ROWS

OURS = [c for c in TIERS if c.backend == penstock.BACKEND]
THEIRS = [c for c in TIERS if c.backend is None]


@pytest.mark.parametrize("row", TIERS_ROWS, ids=lambda row: row.name)
def test_penstock_and_what_it_is_held_against_take_part(row: object) -> None:
    is_hybrid = row.kind == "hybrid"  # type: ignore[attr-defined]
    if is_hybrid and not shutil.which("redis-server") and not os.environ.get("CI"):
        pytest.skip("there is no redis-server")
    outcome = run_rows([row], [*OURS, *THEIRS], plan()).outcome  # type: ignore[list-item]
    assert outcome.failed == {}
    (result,) = outcome.results
    assert len(result.samples) == (1 if is_hybrid else 2)


def test_a_value_that_is_not_the_one_in_memory_is_refused() -> None:
    wrong = flow("wrong", "tiers", "c = None", {"get": "found = 18"})
    (failure,) = run_rows(TIERS_ROWS[:1], [wrong], plan()).outcome.failed.values()
    assert "18 was read" in failure
