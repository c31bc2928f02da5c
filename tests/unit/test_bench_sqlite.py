"""The rows of SQLite: what is in the loop, what is checked."""

from __future__ import annotations

import pytest
from tests.benching import SUFFIX, plan

from penstock.bench import flow, run_rows
from penstock.bench._sqlite_contenders import SQLITES
from penstock.bench._sqlite_rows import SQLITE_ROWS

OURS = [c for c in SQLITES if c.name == f"penstock SqlitePool{SUFFIX}"]
THEIRS = [c for c in SQLITES if c.backend is None]
START = "async def start():\n    return None\nasync def end():\n    pass\n"


@pytest.mark.parametrize("row", SQLITE_ROWS, ids=lambda row: row.name)
def test_penstock_and_the_standard_library_take_part(row: object) -> None:
    outcome = run_rows([row], [*OURS, *THEIRS], plan()).outcome  # type: ignore[list-item]
    assert outcome.failed == {}
    (result,) = outcome.results
    assert len(result.samples) == 2


def test_a_row_that_is_not_the_one_asked_for_is_refused() -> None:
    wrong = flow("wrong", "sqlite", START, {"read": "row = ('user number 3',)"})
    (failure,) = run_rows(SQLITE_ROWS[:1], [wrong], plan()).outcome.failed.values()
    assert "was read" in failure


def test_rows_that_were_not_written_are_missed() -> None:
    wrong = flow("wrong", "sqlite", START, {"write": "pass"})
    with pytest.raises(Exception, match="wrong did not write every row once"):
        run_rows(SQLITE_ROWS[1:2], [wrong], plan())
