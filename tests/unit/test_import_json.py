"""`import_json`: what is a record, what is broken, and that none is imported twice."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.importing import bring, lines, record, row
from tests.recording import COLUMNS, NOON, recorder, rows_of

from penstock.recording import ImportReport, Recorder, import_json
from penstock.recording._import_columns import infer_columns
from penstock.recording._import_records import records_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from penstock.recording._import_report import ImportProgress


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.sqlite"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "old.json"


# forms


@pytest.mark.parametrize(
    "form",
    [
        lines,
        lambda *values: lines(*values).rstrip("\n"),
        lambda *values: lines(*values).replace("\n", "\r\n"),
        lambda *values: lines(*values).replace("\n", "\n\n  \n"),
        lambda *values: "\ufeff" + lines(*values),
        lambda *values: json.dumps(values),
        lambda *values: json.dumps(values, separators=(",", ":")) + "\n",
        lambda *values: "\ufeff" + json.dumps(values),
        lambda *values: "\n\n " + json.dumps(values, indent=4),
        lambda *values: "[\n" + ",\n".join(map(json.dumps, values)) + "\n]\n",
        lambda *values: "\n".join(json.dumps(value, indent=2) for value in values),
    ],
)
def test_records_of_every_form_are_imported(
    path: Path, source: Path, form: Callable[..., str]
) -> None:
    source.write_text(form(*map(record, range(5))), "utf-8", newline="")
    assert bring(path, source) == ImportReport(files=1, rows=5)
    assert rows_of(path) == [row(number) for number in range(5)]
    assert bring(path, source) == ImportReport(files=1, before=5)
    assert len(rows_of(path)) == 5


@pytest.mark.parametrize("indent", [None, 2])
def test_one_object_is_one_record(path: Path, source: Path, indent: int | None) -> None:
    source.write_text(json.dumps(record(1), indent=indent))
    assert bring(path, source) == ImportReport(files=1, rows=1)
    assert bring(path, source) == ImportReport(files=1, before=1)


@pytest.mark.parametrize("text", ["", "\n", "  \n\n\t\n", "[]", " [\n]\n", "\ufeff"])
def test_file_without_records_is_imported_too(path: Path, source: Path, text: str) -> None:
    source.write_text(text, "utf-8")
    assert bring(path, source) == ImportReport(files=1)


def test_several_files_and_batches(path: Path, tmp_path: Path) -> None:
    sources = [tmp_path / f"{name}.json" for name in "abc"]
    for first, each in enumerate(sources):
        each.write_text(lines(*map(record, range(first * 10, first * 10 + 10))))
    seen: list[ImportProgress] = []
    report = bring(path, *sources, sources[0], batch=4, on_progress=seen.append)
    assert report == ImportReport(files=4, rows=30, before=10)
    assert [at.rows for at in seen] == [4, 8, 10, 14, 18, 20, 24, 28, 30]
    assert [at.path for at in seen[::3]] == list(map(str, sources))
    assert all(at.position <= at.size for at in seen)
    assert (seen[2].position, seen[2].size) == (sources[0].stat().st_size,) * 2


def test_one_path_will_do(path: Path, source: Path) -> None:
    source.write_text(lines(record(1)))

    async def main() -> None:
        async with recorder(path) as events:
            assert (await import_json(str(source), events)).rows == 1
            with pytest.raises(ValueError, match="batch must be >= 1, got 0"):
                await import_json(source, events, batch=0)
            with pytest.raises(FileNotFoundError):
                await import_json([source, source / "x", source.with_name("y")], events)

    with pytest.raises(NotADirectoryError):
        asyncio.run(main())


# values


def test_values_become_what_sqlite_has(path: Path, source: Path) -> None:
    values = [None, True, False, 0, -(2**63), 1.5, 1e300, "", "ä\U0001f600\u0000", [], {"a": ["ü"]}]
    source.write_text(lines(*[{"v": value} for value in values]))

    async def main() -> list[object]:
        async with Recorder(path, "t", {"v": ""}) as recorder:
            await import_json(source, recorder)
            return [found["v"] for found in await recorder.query()]

    expected = [None, 1, 0, 0, -(2**63), 1.5, 1e300, "", "ä\U0001f600\0", "[]", '{"a":["ü"]}']
    assert asyncio.run(main()) == expected


def test_keys_that_are_missing_are_null_and_others_are_told(path: Path, source: Path) -> None:
    source.write_text(lines({"path": "/a", "who": 1}, {"ts": 2.5, "Status": 3}))
    report = bring(path, source)
    assert report == ImportReport(files=1, rows=2, ignored=("Status", "who"))
    assert rows_of(path) == [(None, "/a", None), (2.5, None, None)]


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [
        (NOON, NOON),
        (int(NOON), NOON),
        ("2026-01-31T12:00:00Z", NOON),
        ("2026-01-31T13:30:00.25+01:30", NOON + 0.25),
        ("2026-01-31 12:00:00", NOON),
        ("2026-01-31", NOON - 43_200),
    ],
)
@pytest.mark.parametrize("partition_by", [None, "day"])
def test_times_are_seconds_or_iso_8601(
    path: Path, source: Path, moment: object, seconds: float, partition_by: str | None
) -> None:
    source.write_text(lines({"ts": moment, "path": "/"}))
    assert bring(path, source, options={"partition_by": partition_by}).rows == 1
    table = "events" if partition_by is None else "events_20260131"
    assert rows_of(path, table) == [(seconds, "/", None)]


def test_text_stays_text_in_a_column_that_is_not_the_time(path: Path, source: Path) -> None:
    source.write_text(lines({"ts": "2026-01-31", "v": 1}))

    async def main() -> None:
        columns = {"ts": "TEXT", "v": "INTEGER"}
        async with Recorder(path, "t", columns, timestamp="none") as recorder:
            await import_json(source, recorder)

    asyncio.run(main())
    assert rows_of(path, "t") == [("2026-01-31", 1)]


def test_file_that_has_grown_gives_what_is_new(path: Path, source: Path) -> None:
    source.write_text(lines(record(0)))
    bring(path, source)
    with source.open("a") as file:
        file.write(lines(record(1)) + "x\n")
    report = bring(path, source)
    assert (report.rows, report.before, report.errors[0].line) == (1, 1, 3)


def test_array_that_has_grown_gives_what_is_new(path: Path, source: Path) -> None:
    for count in (1, 3, 4):
        source.write_text(json.dumps(list(map(record, range(count))), indent=1))
        bring(path, source)
        assert rows_of(path) == [row(number) for number in range(count)]


def test_file_that_was_replaced_is_another(path: Path, source: Path, tmp_path: Path) -> None:
    source.write_text(lines(record(0), record(1)))
    bring(path, source)
    old = source.rename(tmp_path / "old.1")
    source.write_text(lines(record(2)))
    assert bring(path, old, source) == ImportReport(files=2, rows=1, before=2)
    assert bring(path, old, source) == ImportReport(files=2, before=3)
    other = tmp_path / "other"
    os.link(source, other)
    source.unlink()
    other.write_text(lines(record(3), record(4)))  # in its inode, which is used again
    assert bring(path, other) == ImportReport(files=1, rows=2)
    assert bring(path, other) == ImportReport(files=1, before=2)


def test_file_is_known_by_another_name(path: Path, source: Path, tmp_path: Path) -> None:
    source.write_text(lines(record(0)))
    bring(path, source)
    (tmp_path / "link").symlink_to(source)
    os.link(source, tmp_path / "hard")
    assert bring(path, tmp_path / "link", tmp_path / "hard").before == 2
    shutil.copy(source, tmp_path / "copy")
    assert bring(path, tmp_path / "copy").rows == 1  # nothing says that it is the same


def test_each_table_has_its_own_imports(path: Path, source: Path) -> None:
    source.write_text(lines(record(0)))
    bring(path, source)

    async def main() -> ImportReport:
        async with Recorder(path, "others", COLUMNS) as others:
            return await import_json(source, others)

    assert asyncio.run(main()).rows == 1


@pytest.mark.parametrize("form", [lines, lambda *values: json.dumps(values)])
def test_import_that_is_cancelled_anywhere_goes_on_where_it_was(
    path: Path, source: Path, form: Callable[..., str]
) -> None:
    source.write_text(form(*map(record, range(100))))

    async def stopped(after: int) -> ImportReport | None:
        async with recorder(path) as events:
            task: asyncio.Task[ImportReport]
            count = 0

            def progress(at: ImportProgress) -> None:
                nonlocal count
                count += 1
                if count == after:
                    task.cancel()

            task = asyncio.create_task(import_json(source, events, batch=7, on_progress=progress))
            await asyncio.wait([task])
            return None if task.cancelled() else task.result()

    runs = 0
    while asyncio.run(stopped(2)) is None:
        runs += 1
    assert runs >= 7
    assert rows_of(path) == [row(number) for number in range(100)]


def test_rows_and_position_are_one_transaction(
    path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.write_text(lines(*map(record, range(10))))

    def fail(*_: object) -> int:
        raise OSError("no position")

    with monkeypatch.context() as patch:
        patch.setattr("penstock.recording._import.remember", fail)
        with pytest.raises(OSError, match="no position"):
            bring(path, source)
    assert rows_of(path) == []
    assert bring(path, source).rows == 10


# properties

_RECORDS = st.lists(
    st.dictionaries(
        st.text(max_size=5),
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=8)
            | st.floats(allow_nan=False, allow_infinity=False),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
            max_leaves=5,
        ),
        max_size=4,
    ),
    max_size=6,
)  # fmt: skip


@given(_RECORDS, st.sampled_from([None, 0, 2]), st.booleans(), st.booleans())
def test_every_record_is_found_with_its_end(
    records: list[dict[str, object]],
    indent: int | None,
    array: bool,
    ascii: bool,  # noqa: A002
) -> None:
    if array:
        text = json.dumps(records, indent=indent, ensure_ascii=ascii)
    else:
        text = "".join(json.dumps(each, ensure_ascii=ascii) + "\n" for each in records)
    data = text.encode("utf-8", "surrogatepass")
    if "surrogates" in repr(data):
        return
    found = list(records_of(io.BytesIO(data)))
    assert [each.value for each in found] == records
    for number, each in enumerate(found, 1):
        line = data.count(b"\n", 0, each.end) + 1
        rest = list(records_of(io.BytesIO(data), each.end, line))
        assert [other.value for other in rest] == records[number:]
        assert [other.end for other in rest] == [other.end for other in found[number:]]
        assert [other.line for other in rest] == [other.line for other in found[number:]]


def test_columns_are_those_that_the_records_need(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text(lines({"ts": "2026-01-31", "n": 1, "x": 1, "t": "a", "b": True, "o": {}}))
    second.write_text(json.dumps([{"ts": 5, "n": 2, "x": 0.5, "t": 1, "none": None, "l": []}]))
    assert infer_columns([str(first), str(second)], "ts") == {
        "ts": "REAL",
        "n": "INTEGER",
        "x": "REAL",
        "t": "TEXT",
        "b": "INTEGER",
        "o": "TEXT",
        "none": "TEXT",
        "l": "TEXT",
    }


@pytest.mark.parametrize(
    ("moments", "declared"),
    [(["2026-01-31", "soon", None], "REAL"), ([5, "soon"], "REAL"), ([5, 6], "INTEGER"),
     (["soon"], "TEXT"), ([None], "TEXT")],
)  # fmt: skip
def test_time_is_a_number_if_any_is_one(source: Path, moments: list[object], declared: str) -> None:
    source.write_text(lines(*[{"ts": moment} for moment in moments]))
    assert infer_columns([str(source)], "ts") == {"ts": declared}


def test_no_record_needs_no_columns(source: Path) -> None:
    source.write_text("x\n")
    with pytest.raises(ValueError, match="no record to tell the columns from"):
        infer_columns([str(source)], "ts")
