"""The rows of pools: what is in the loop, what is checked."""

from __future__ import annotations

import shutil

import pytest
from tests.benching import SUFFIX, plan

import penstock
from penstock.bench import flow, run_rows
from penstock.bench._pool_contenders import POOLS
from penstock.bench._pool_rows import POOL_ROWS

OURS = [c for c in POOLS if c.name == f"penstock Pool{SUFFIX}"]
SERVED = [c for c in POOLS if c.backend == penstock.BACKEND and c not in OURS]
THEIRS = [c for c in POOLS if c.backend is None]
START = "async def start():\n    return None\nasync def end():\n    pass\n"


@pytest.mark.parametrize("row", POOL_ROWS[:2], ids=lambda row: row.name)
def test_penstock_and_the_standard_library_take_part(row: object) -> None:
    outcome = run_rows([row], [*OURS, *THEIRS], plan()).outcome  # type: ignore[list-item]
    assert outcome.failed == {}
    (result,) = outcome.results
    assert len(result.samples) == 3


@pytest.mark.skipif(not SERVED, reason="they are the same on the twin")
@pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server")
@pytest.mark.parametrize("row", POOL_ROWS[2:4], ids=lambda row: row.name)
def test_a_server_is_started_for_those_who_need_one(row: object) -> None:
    outcome = run_rows([row], SERVED, plan()).outcome  # type: ignore[list-item]
    assert outcome.failed == {}
    (result,) = outcome.results
    assert len(result.samples) == 1


def test_an_answer_that_is_not_the_servers_is_refused() -> None:
    wrong = flow("wrong", "http", START, {"get": "found = b'y'"})
    (failure,) = run_rows(POOL_ROWS[3:4], [wrong], plan()).outcome.failed.values()
    assert "was read" in failure


def test_without_a_redis_its_row_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    outcome = run_rows(POOL_ROWS[2:3], SERVED, plan()).outcome
    assert "redis-server" in outcome.skipped
    assert outcome.results == []
