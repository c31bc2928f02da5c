"""`import_json`: records that are broken, and the rest of their file."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.importing import bring, lines, record, row
from tests.recording import NOON, WallClock, rows_of, run_sql

from penstock.recording import BrokenRecord, ImportReport
from penstock.recording._import_records import records_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.sqlite"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "old.json"


def test_broken_lines_are_told_and_the_rest_is_imported(path: Path, source: Path) -> None:
    bad = [
        ('{"ts": 1,', "Expecting property name enclosed in double quotes, at character 10"),
        ("[1, 2]", "a record must be an object, got an array"),
        ("7", "a record must be an object, got a number"),
        ("null", "a record must be an object, got null"),
        ('{"ts": NaN}', "NaN is no JSON"),
        ('{"who": 1}', "it has none of the columns"),
        ('{"ts": "soon"}', "'ts' is no time: 'soon'"),
        ('{"status": 9223372036854775808}', "Python int too large to convert to SQLite INTEGER"),
        ('{"path": "\\ud800"}', "'utf-8' codec can't encode character"),
        ('{"ts": ' + "[" * 100_000 + "}", "it is nested too deeply"),
        ('{"status": 1} {"status": 2}', "Extra data, at character 15"),
    ]
    texts = [lines(record(0)).rstrip()]
    for number, (text, _) in enumerate(bad, 1):
        texts += [text, lines(record(number)).rstrip()]
    source.write_bytes("\n".join(texts).encode() + b"\n\xff\n")
    bad.append(("", "it is no UTF-8, at byte 0"))
    told: list[BrokenRecord] = []
    report = bring(path, source, on_broken=told.append, batch=5)
    assert [error.line for error in report.errors] == list(range(2, 2 * len(bad) + 1, 2))
    for error, (_, reason) in zip(report.errors, bad, strict=True):
        assert error.reason.startswith(reason), error
        assert error.path == str(source)
    assert told == list(report.errors)
    assert (report.rows, report.broken) == (len(bad), len(bad))
    assert rows_of(path) == [row(number) for number in range(len(bad))]
    assert bring(path, source).before == report.rows + report.broken


def test_broken_first_line_is_a_line_like_others(path: Path, source: Path) -> None:
    source.write_text('{"ts": 1, "path": \n' + lines(record(2), record(3)))
    report = bring(path, source)
    assert (report.rows, [error.line for error in report.errors]) == (2, [1])


def test_last_line_that_is_not_whole_is_looked_at_again(path: Path, source: Path) -> None:
    text = lines(record(0), record(1))
    source.write_text(text[:-12])
    report = bring(path, source)
    assert (report.rows, [error.line for error in report.errors]) == (1, [2])
    source.write_text(text + lines(record(2)))
    assert bring(path, source) == ImportReport(files=1, rows=2, before=1)
    assert rows_of(path) == [row(0), row(1), row(2)]


def test_array_goes_on_after_a_broken_record_with_a_line_of_its_own(
    path: Path, source: Path
) -> None:
    text = json.dumps([record(number, nested={"a": [1]}) for number in range(4)], indent=2)
    source.write_text(text.replace('"status": 1', '"status": x'))
    report = bring(path, source)
    assert (report.rows, [error.line for error in report.errors]) == (3, [12])
    assert rows_of(path) == [row(0), row(2), row(3)]
    assert bring(path, source).before == 4


def test_array_in_one_line_ends_with_a_broken_record(path: Path, source: Path) -> None:
    text = json.dumps([record(number) for number in range(4)])
    source.write_text(text.replace('"status": 2', '"status": x'))
    for before, rows in ((0, 2), (2, 0)):
        report = bring(path, source)
        assert (report.before, report.rows, report.broken) == (before, rows, 1)
        assert report.errors[0].line == 1
        assert report.errors[0].reason.endswith("; nothing after it can be read")
    source.write_text(text)
    assert bring(path, source) == ImportReport(files=1, rows=2, before=2)
    assert rows_of(path) == [row(number) for number in range(4)]


def test_elements_that_are_no_objects_are_broken(path: Path, source: Path) -> None:
    source.write_text(json.dumps([record(0), 1, "a", None, record(1), True, 0.5], indent=1))
    report = bring(path, source)
    assert (report.rows, report.broken) == (2, 5)


def test_record_without_its_day_is_broken(path: Path, source: Path) -> None:
    source.write_text(lines({"path": "/"}, {"ts": NOON}, {"ts": NOON - 10 * 86_400}))
    options = {"partition_by": "day", "retention": 7, "timer": WallClock()}
    report = bring(path, source, options=options)
    assert [tuple(error)[1:] for error in report.errors] == [
        (1, "it has no 'ts'"),
        (3, "column 'ts' is of 20260121, which is older than the retention"),
    ]


def test_line_that_is_huge_is_imported(path: Path, source: Path) -> None:
    huge = "ü" * 10_000_000
    source.write_text(lines(record(0), {"path": huge}, record(1)))
    assert bring(path, source).rows == 3
    assert run_sql(path, "SELECT length(path) FROM events WHERE rowid = 2") == [(len(huge),)]


def test_line_that_is_too_long_is_broken(
    path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.recording._import_records._MAX_LINE", 1000)
    source.write_text(lines(record(0), {"path": "x" * 5000}, record(1)))
    report = bring(path, source)
    assert [tuple(error)[1:] for error in report.errors] == [(2, "it is longer than 1,000 bytes")]
    assert rows_of(path) == [row(0), row(1)]
    assert bring(path, source).before == 3


def test_errors_beyond_a_thousand_are_only_counted(path: Path, source: Path) -> None:
    source.write_text("x\n" * 1500)
    report = bring(path, source)
    assert (report.broken, len(report.errors)) == (1500, 1000)


@given(st.binary(max_size=200))
def test_no_bytes_are_an_error(data: bytes) -> None:
    for text in (data, b"[" + data, b'{"a":' + data, b'{"a": 1}\n' + data):
        ends = [each.end for each in records_of(io.BytesIO(text))]
        assert ends == sorted(ends)
        assert all(0 <= end <= len(text) for end in ends)
