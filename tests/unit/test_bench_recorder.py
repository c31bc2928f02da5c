"""The rows of the recorder: who takes part, and that every row is written."""

from __future__ import annotations

import pytest
from tests.benching import SUFFIX, plan

import penstock
from penstock.bench import BenchError, Contender, Plan, run_rows
from penstock.bench._recorder_contenders import RECORDERS
from penstock.bench._recorder_rows import RECORDER_ROWS

OURS = f"penstock Recorder{SUFFIX}"


def small() -> Plan:
    return plan(capacity=30)


def contenders() -> list[Contender]:
    return [each for each in RECORDERS if each.backend in {None, penstock.BACKEND}]


@pytest.mark.parametrize(
    ("number", "theirs"),
    [(0, "sqlite3 in a thread, a commit for each"), (1, "sqlite3 on the loop, all at once")],
)
def test_penstock_and_the_standard_library_take_part(number: int, theirs: str) -> None:
    run = run_rows([RECORDER_ROWS[number]], contenders(), small())
    assert run.outcome.failed == {}
    (result,) = run.outcome.results
    assert set(result.samples) == {OURS, theirs}
    assert all(speed > 0 for speeds in result.samples.values() for speed in speeds)


def test_contender_that_loses_rows_is_noticed() -> None:
    (ours,) = [each for each in contenders() if each.name == OURS]
    put = "for row in rows[1:]:\n    put(row)\nawait flush()"
    forgetful = Contender("forgetful", ours.kinds, ours.make, {"put": put}, ours.bind,
        backend=ours.backend)  # fmt: skip
    with pytest.raises(BenchError, match="forgetful did not write every row once"):
        run_rows([RECORDER_ROWS[1]], [forgetful], small())
