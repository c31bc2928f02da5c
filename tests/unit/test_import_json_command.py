"""``penstock import-json``: its options, what it prints, and its exit codes."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from typing import TYPE_CHECKING

import pytest
from tests.recording import recorder, rows_of, run_sql, tables_of

from penstock import cli

if TYPE_CHECKING:
    from pathlib import Path

RECORDS = [{"ts": 1.5, "path": "/a", "status": 200}, {"ts": 2.5, "path": "/b", "status": 404}]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.sqlite"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "old.json"
    source.write_text("".join(json.dumps(each) + "\n" for each in RECORDS))
    return source


def run(source: Path, path: Path, *options: str) -> int:
    return cli.main(["import-json", str(source), "--db", str(path), "--table", "events", *options])


def test_columns_are_found(path: Path, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(source, path) == 0
    out, err = capsys.readouterr()
    assert out == f"2 rows imported into 'events' of {path}\n"
    assert err == ""
    ((made,),) = run_sql(path, "SELECT sql FROM sqlite_master WHERE name = 'events'")
    assert made == 'CREATE TABLE "events" ("ts" REAL, "path" TEXT, "status" INTEGER)'
    assert rows_of(path) == [(1.5, "/a", 200), (2.5, "/b", 404)]


def test_again_it_imports_nothing(
    path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(source, path)
    with source.open("a") as file:
        file.write('{"ts": "not a number", "more": 1}\n{"ts": 3, "more": 1}\n')
    capsys.readouterr()
    assert run(source, path) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"1 row imported into 'events' of {path}",
        "2 records were dealt with before",
        "1 record was not imported",
        "keys that are no columns: more",
    ]
    assert err == f"{source}:3: 'ts' is no time: 'not a number'\n"


def test_result_as_json(path: Path, source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source.write_text("x\n" + source.read_text())
    assert run(source, path, "--json") == 1
    out, _ = capsys.readouterr()
    assert json.loads(out) == {
        "ok": False,
        "files": 1,
        "rows": 2,
        "before": 0,
        "broken": 1,
        "errors": [{"path": str(source), "line": 1, "reason": "Expecting value, at character 1"}],
        "ignored": [],
    }


def test_file_that_was_changed_needs_to_be_told_again(
    path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(source, path)
    source.write_text('{"ts": 3.5}\n')
    capsys.readouterr()
    assert run(source, path) == 1
    out, err = capsys.readouterr()
    assert out.startswith("0 rows imported")
    assert err.startswith(f"{source}:1: the file was changed where it was imported already")
    assert run(source, path, "--again") == 0
    assert [row[0] for row in rows_of(path)] == [1.5, 2.5, 3.5]


def test_columns_and_partitions_as_told(path: Path, source: Path) -> None:
    options = ["--columns", "at:REAL, path:TEXT NOT NULL", "--timestamp", "at"]
    source.write_text('{"at": 1, "path": "/a"}\n{"at": 86400, "path": "/b", "x": 1}\n')
    assert run(source, path, *options, "--partition-by", "day", "--batch", "1") == 0
    assert tables_of(path) == ["events_19700101", "events_19700102", "penstock_imports"]
    assert run_sql(path, "SELECT * FROM events_19700102") == [(86400.0, "/b")]


def test_columns_of_a_table_that_is_there_are_its_own(path: Path, source: Path) -> None:
    async def main() -> None:
        async with recorder(path, partition_by="day") as events:
            await events.record((0, "/", 200))

    asyncio.run(main())
    source.write_text('{"ts": 1, "other": 5}\n')
    assert run(source, path, "--partition-by", "day") == 0
    assert rows_of(path, "events_19700101")[1] == (1.0, None, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--columns", "ts"], "--columns must be like ts:REAL,path:TEXT, got 'ts'"),
        (["--columns", "a:TEXT,a:TEXT"], "--columns names 'a' twice"),
        (["--columns", "a:TEXT)"], "the type of column 'a' is not understood: 'TEXT)'"),
        (["--batch", "0"], "batch must be >= 1, got 0"),
        (["--timestamp", "at", "--partition-by", "day"], "partition_by='day' needs the column"),
    ],
)
def test_option_that_cannot_be_used_is_wrong_usage(
    path: Path, source: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(source, path, *options) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"penstock import-json: error: {message}")
    assert error.count("\n") == 1


def test_table_that_does_not_fit_is_wrong_usage(
    path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_sql(path, "CREATE TABLE events (ts TEXT)")
    assert run(source, path, "--columns", "ts:REAL,path:TEXT") == 2
    assert "table 'events' does not fit: column 'ts' is TEXT" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["file", "directory", "database"])
def test_what_cannot_be_read_is_exit_code_1(
    path: Path, source: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if what == "database":
        path.write_text("This is no database, it is a text of some length. " * 100)
        assert run(source, path) == 1
    else:
        assert run(source.parent if what == "directory" else source.with_name("x"), path) == 1
    error = capsys.readouterr().err
    assert error.startswith("penstock import-json: error: ")
    assert "Traceback" not in error


def test_missing_options_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["import-json", "x.json"]) == 2
    assert "--db, --table" in capsys.readouterr().err


def test_help_is_that_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["import-json", "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: penstock import-json")
    assert "exit codes:" in out
    assert cli.main(["--help"]) == 0
    assert "\n    import-json" in capsys.readouterr().out


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [_Terminal(), io.StringIO()])
def test_progress_goes_to_standard_error(
    path: Path, source: Path, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr("penstock.recording._import_command._EVERY", 0)
    monkeypatch.setattr("penstock.recording._import_command._EVERY_LINE", 0)
    assert run(source, path, "--batch", "1") == 0
    text = stream.getvalue()
    if stream.isatty():
        assert f"\r{source}: 50 %, 1 row\r{source}: 100 %, 2 rows" in text
        assert "\n" not in text
        assert text.endswith(" \r")
    else:
        assert text == f"{source}: 50 %, 1 row\n{source}: 100 %, 2 rows\n"


def test_only_the_first_hundred_broken_lines_are_told(
    path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source.write_text(source.read_text() + "x\n" * 150)
    assert run(source, path) == 1
    out, err = capsys.readouterr()
    assert err.count("\n") == 101
    assert err.endswith("more of these are only counted\n")
    assert "150 records were not imported" in out


def test_interrupted_import_is_exit_code_130_and_goes_on(
    path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.write_text("".join(f'{{"ts": {n}, "path": "/", "status": {n}}}\n' for n in range(10)))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("penstock.recording._import_command._Show.progress", interrupt)
        assert run(source, path, "--batch", "3") == 130
    assert len(rows_of(path)) == 3
    assert run(source, path) == 0
    assert [row[2] for row in rows_of(path)] == list(range(10))


def test_database_that_cannot_be_used_is_named(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "nowhere" / "events.sqlite"
    assert run(source, missing) == 1
    error = f"penstock import-json: error: {missing}: unable to open database file\n"
    assert capsys.readouterr().err == error
