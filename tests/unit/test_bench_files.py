"""The rows of files: what is in the loop, and what is checked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.benching import SUFFIX, plan

import penstock
from penstock.bench import flow, run_rows
from penstock.bench._files_contenders import FILES
from penstock.bench._files_rows import FILES_ROWS

if TYPE_CHECKING:
    from penstock.bench import Contender, Result, Run
    from penstock.bench._model import Row

BENCHES = Path(__file__).parents[2] / "benches"
ROWS = {row.name: row for row in FILES_ROWS}


def measured(row: Row, contenders: list[Contender]) -> Run:
    return run_rows([row], contenders, plan(gathered=3, capacity=4))


def result_of(run: Run) -> Result:
    assert run.outcome.failed == {}
    (result,) = run.outcome.results
    return result


@pytest.mark.parametrize("name", ROWS)
def test_penstock_takes_part_in_every_row(name: str) -> None:
    row = ROWS[name]
    ours = [c for c in FILES if c.backend == penstock.BACKEND and row.kind in c.kinds]
    expected = {c.name for c in ours}
    if name == "files.ratio":
        expected.discard(f"penstock FileCache, looks once a second{SUFFIX}")
    assert set(result_of(measured(row, ours)).samples) == expected


@pytest.mark.parametrize("name", ["files.write", "files.get", "files.many"])
def test_so_does_what_is_written_by_hand(name: str) -> None:
    row = ROWS[name]
    theirs = [c for c in FILES if c.backend is None and row.kind in c.kinds]
    assert set(result_of(measured(row, theirs)).samples) == {c.name for c in theirs}


def test_replacements_are_counted_where_they_happen() -> None:
    replace = os.replace
    ours = [c for c in FILES if c.backend == penstock.BACKEND and "writes" in c.kinds]
    result = result_of(measured(ROWS["files.touched"], ours))
    assert list(result.samples.values()) == [[1.0] * 5]
    often = flow(
        "often",
        "writes",
        "import os\ndef c(path, data):\n    open(path, 'wb').close()\n    os.replace(path, path)\n"
        "    with open(path, 'wb') as file:\n        file.write(data)",
        {"write": "for data in items:\n    c(path, data)"},
        backend=ours[0].backend,
    )
    assert result_of(measured(ROWS["files.touched"], [often])).samples == {"often": [3.0] * 5}
    assert os.replace is replace


def test_who_does_not_write_the_last_item_is_refused() -> None:
    wrong = flow("wrong", "writes", "c = open", {"write": "c(path, 'wb').close()"})
    run = measured(ROWS["files.write"], [wrong])
    (failure,) = run.outcome.failed.values()
    assert "the last write is not what the file says" in failure


def test_the_hit_ratio_is_that_of_what_changed() -> None:
    ours = [c for c in FILES if c.name == f"penstock FileCache{SUFFIX}"]
    result = result_of(measured(ROWS["files.ratio"], ours))
    # Four passes: all files are new in the first, and one in each of the others.
    assert result.samples[ours[0].name] == [297 / 400]


def test_who_returns_what_a_file_said_before_is_refused() -> None:
    stale = flow(
        "stale",
        "reads",
        """\
import json
class Stale(dict):
    async def get(self, path):
        if path not in self:
            with open(path) as file:
                self[path] = json.load(file)
        return self[path]
c = Stale()
""",
        {"get": "await c.get(k)"},
        backend=penstock.BACKEND,
    )
    run = measured(ROWS["files.ratio"], [stale])
    (failure,) = run.outcome.failed.values()
    assert failure == "BenchError: version 0 of a file instead of 1"


def test_every_peer_of_files_fits_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHES))
    from files_peers import FILES_PEERS

    for peer in FILES_PEERS:
        assert peer.kinds <= {"writes", "reads"}
        assert peer.needs is not None
        assert set(peer.ops) <= {"write", "get"}
