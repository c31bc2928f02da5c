"""The command line without its long-running parts."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from penstock import cli
from penstock.demo import DemoError, DemoOptions

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def demo_calls(monkeypatch: pytest.MonkeyPatch) -> list[DemoOptions]:
    calls: list[DemoOptions] = []

    def run(options: DemoOptions) -> int:
        calls.append(options)
        return 0

    monkeypatch.setattr("penstock.demo.run", run)
    return calls


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "--help"], ["info", "--help"]])
def test_help_is_printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out.startswith("usage: penstock")


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["--help"])
    text = capsys.readouterr().out
    assert all(f"  {command} " in text for command in ("demo", "bench", "info"))


@pytest.mark.parametrize(
    "arguments", [[], ["nothing"], ["demo", "--requests", "many"], ["info", "--loud"]]
)
def test_wrong_usage_is_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    assert "usage: penstock" in capsys.readouterr().err


def test_arguments_come_from_the_process_by_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["penstock", "info", "--json"])
    assert cli.main() == 0
    assert "backend" in json.loads(capsys.readouterr().out)


def test_info_names_backend_and_versions(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info"]) == 0
    text = capsys.readouterr().out
    assert "backend: " in text
    assert "\n  uvicorn: " in text


def test_info_as_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info", "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert set(about) == {"penstock", "backend", "python", "platform", "build", "packages"}


def test_demo_without_options_is_the_full_one(demo_calls: list[DemoOptions]) -> None:
    assert cli.main(["demo"]) == 0
    assert demo_calls == [DemoOptions()]
    assert demo_calls[0].documents == 20_000


def test_demo_options_are_passed_on(demo_calls: list[DemoOptions], tmp_path: Path) -> None:
    text = "demo --requests 9 --documents 8 --concurrency 7 --seed 6 --cache-size 5 --json --trace"
    assert cli.main([*text.split(), str(tmp_path)]) == 0
    assert demo_calls == [
        DemoOptions(
            requests=9,
            documents=8,
            concurrency=7,
            seed=6,
            cache_size=5,
            as_json=True,
            trace=tmp_path,
        )
    ]


def test_zero_requests_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--requests", "0"]) == 2
    assert capsys.readouterr().err == "penstock demo: error: requests must be >= 1, got 0\n"


def test_missing_trace_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("aiohttp")
    assert cli.main(["demo", "--trace", str(tmp_path / "nowhere")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("penstock demo: error: cannot read trace")
    assert error.count("\n") == 1


def test_empty_trace_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("aiohttp")
    trace = tmp_path / "trace"
    trace.touch()
    assert cli.main(["demo", "--trace", str(trace)]) == 2
    assert "has no keys" in capsys.readouterr().err


def test_missing_extras_are_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert cli.main(["demo"]) == 1
    assert capsys.readouterr().err == (
        'penstock demo: error: needs uvicorn and aiohttp: pip install "penstock[demo]"\n'
    )


def test_failed_demo_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(options: DemoOptions) -> int:
        raise DemoError("the service ended with exit code 3")

    monkeypatch.setattr("penstock.demo.run", fail)
    assert cli.main(["demo"]) == 1
    error = capsys.readouterr().err
    assert error == "penstock demo: error: the service ended with exit code 3\n"


def test_ctrl_c_is_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(options: DemoOptions) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("penstock.demo.run", interrupt)
    assert cli.main(["demo"]) == 130


def test_bench_gets_its_arguments_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def main(arguments: list[str]) -> int:
        seen.append(arguments)
        return 1

    bench = ModuleType("penstock.bench")
    bench.main = main  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "penstock.bench", bench)
    assert cli.main(["bench", "--list", "-k", "cache", "--help"]) == 1
    assert seen == [["--list", "-k", "cache", "--help"]]


def test_exit_of_a_bench_with_wrong_usage_is_a_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def main(arguments: list[str]) -> int:
        raise SystemExit(2)

    bench = ModuleType("penstock.bench")
    bench.main = main  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "penstock.bench", bench)
    assert cli.main(["bench", "--nonsense"]) == 2
