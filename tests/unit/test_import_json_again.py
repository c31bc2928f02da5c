"""`import_json`: files that others import too, and files that are not what they were."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING

import pytest
from tests.importing import bring, lines, record, row
from tests.recording import recorder, rows_of, run_sql

from penstock.recording import ImportReport, import_json

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.recording import ImportProgress


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.sqlite"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "old.json"


@pytest.mark.parametrize("batch", [7, 100])
def test_imports_at_the_same_time_double_nothing(path: Path, source: Path, batch: int) -> None:
    source.write_text(lines(*map(record, range(50)), "x"))

    async def main() -> list[ImportReport]:
        async with recorder(path) as one, recorder(path) as two:
            both = [import_json(source, each, batch=batch) for each in (one, two)]
            return await asyncio.gather(*both)

    reports = asyncio.run(main())
    assert rows_of(path) == [row(number) for number in range(50)]
    assert sum(report.rows for report in reports) == 50
    assert sum(report.broken for report in reports) == 1
    assert all(report.rows + report.broken + report.before == 51 for report in reports)
    assert len(run_sql(path, "SELECT * FROM penstock_imports")) == 1


def test_import_that_was_overtaken_goes_on_behind_the_other(path: Path, source: Path) -> None:
    source.write_text(lines(*map(record, range(20))))
    others: list[ImportReport] = []

    def overtake(_: ImportProgress) -> None:
        if not others:  # in between of two transactions
            thread = threading.Thread(target=lambda: others.append(bring(path, source, batch=4)))
            thread.start()
            thread.join()

    report = bring(path, source, batch=5, on_progress=overtake)
    assert others == [ImportReport(files=1, rows=15, before=5)]
    assert report == ImportReport(files=1, rows=5, before=15)
    assert rows_of(path) == [row(number) for number in range(20)]


@pytest.mark.parametrize("change", ["mended", "shorter", "empty", "replaced"])
def test_file_that_was_changed_is_imported_only_if_told_so(
    path: Path, source: Path, tmp_path: Path, change: str
) -> None:
    good = [record(number) for number in range(4)]
    source.write_text(lines(*good[:2], "x", good[3]))
    assert bring(path, source).rows == 3
    kept = {"mended": 4, "shorter": 1, "empty": 0, "replaced": 4}[change]
    if change == "replaced":
        source.rename(tmp_path / "gone")
    source.write_text(lines(*good[:kept]))
    other = tmp_path / "other.json"
    other.write_text(lines(record(9)))
    for rows in (1, 0):
        report = bring(path, source, other)
        assert (report.rows, report.broken, report.files) == (rows, 1, 2)
        ((name, line, reason),) = report.errors
        assert (name, line) == (str(source), 1)
        assert reason.startswith("the file was changed where it was imported already")
    assert bring(path, source, again=True).rows == kept
    if kept:
        assert bring(path, source) == ImportReport(files=1, before=kept)


def test_new_file_may_have_the_name_of_one_that_was_moved(
    path: Path, source: Path, tmp_path: Path
) -> None:
    source.write_text(lines(record(0)))
    bring(path, source)
    moved = source.rename(tmp_path / "old.1")
    source.write_text(lines(record(1)))
    # In the wrong order it takes another run.
    assert [(r.rows, r.broken) for r in (bring(path, source, moved), bring(path, source))] == [
        (0, 1),
        (1, 0),
    ]
    assert rows_of(path) == [row(0), row(1)]


@pytest.mark.parametrize("indent", [1, 4])
def test_object_that_is_being_written_is_imported_when_it_is_whole(
    path: Path, source: Path, indent: int
) -> None:
    whole = json.dumps(record(1, more={"a": [1, "\\{", True], "b": -1.5e3}), indent=indent) + "\n"
    for end in range(1, len(whole) - 1):
        source.write_text(whole[:end])
        report = bring(path, source)
        assert (report.rows, report.broken) == (0, 1), whole[:end]
    source.write_text(whole)
    assert bring(path, source) == ImportReport(files=1, rows=1, ignored=("more",))
    assert bring(path, source).before == 1
