"""The harness behind ``penstock bench``: hit ratios, reports, and the command line."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, cast

import pytest
from tests.benching import ABOUT, SUFFIX, find, plan

import penstock
from penstock.bench import (
    BenchError,
    Outcome,
    Plan,
    Result,
    Verdict,
    default_sizes,
    main,
    read_trace,
    replay,
    run_rows,
)
from penstock.bench._hit_ratio import zipf
from penstock.bench._report import as_json, as_markdown, update_tables
from penstock.bench._rows import ROWS, choose
from penstock.bench._subjects import build

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


# hit ratio


def test_the_hit_ratio_of_a_small_trace_is_that_of_strict_lru() -> None:
    ours = find("penstock Cache")
    assert replay(ours, list("abcabcabc"), 2) == 0.0
    assert replay(ours, list("abcabcabc"), 3) == pytest.approx(100 * 6 / 9)
    assert replay(ours, list("abaca"), 2) == pytest.approx(100 * 2 / 5)


def test_a_trace_is_read_plain_or_compressed(tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("a\nb\na\n")
    (tmp_path / "small.txt.gz").write_bytes(gzip.compress(b"a\nb\na"))
    assert read_trace(tmp_path / "plain.txt") == ["a", "b", "a"]
    assert read_trace(tmp_path / "small.txt.gz") == ["a", "b", "a"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [("a.txt", b"", "has no request"), ("a.gz", b"no", "cannot read"), ("b", None, "cannot read")],
)
def test_a_bad_trace_is_refused(
    tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BenchError, match=reason):
        read_trace(path)


def test_a_zipf_stream_is_the_same_for_the_same_seed() -> None:
    stream = zipf(1_000, universe=100)
    assert stream == zipf(1_000, universe=100)
    assert stream != zipf(1_000, universe=100, seed=1)
    assert stream.count("key:0") > stream.count("key:50") > 0


def test_default_sizes_are_shares_of_the_distinct_keys() -> None:
    assert default_sizes(2_529) == (25, 126, 506)
    assert default_sizes(3) == (1, 1, 1)


def test_the_hit_ratio_row_replays_the_trace_at_every_size(tmp_path: Path) -> None:
    trace = tmp_path / "t.txt"
    trace.write_text("a\nb\na\nb\n")
    run = run_rows(choose(["hit-ratio"]), [find("penstock Cache")], plan(trace=trace, sizes=(1, 2)))
    figures = [result.median(f"penstock Cache{SUFFIX}") for result in run.outcome.results]
    assert figures == [0.0, 50.0]
    assert "t.txt, 4 requests, 2 keys" in run.outcome.results[0].table


# reports


def outcome() -> Outcome:
    """Return two columns of one table; the second lacks one contender."""
    return Outcome(
        results=[
            Result("a.b", "ops: all", "get", "ns", {"x": [1.0, 3.0, 2.0], "y": [1234.5] * 3}),
            Result("a.c", "ops: all", "size", "B", {"x": [41.6]}, digits=0),
        ],
        verdicts=[
            Verdict("x / y", "<= 1 x", "0.50 x", met=True),
            Verdict("z", ">= 2", None, False),
        ],
        skipped={"gone": "absent is not installed"},
    )


def test_markdown_has_contenders_down_and_operations_across() -> None:
    text = as_markdown(outcome(), ABOUT)
    assert "| | get (ns) | size (B) |\n|---|--:|--:|\n| x | 2.0 | 42 |\n| y | 1,234 |  |" in text
    assert text.startswith("2026-01-02, Z80 (1 cores), CP/M, CPython 3, penstock 0.")
    assert "Peers: slowcache 1.2." in text
    assert "| x / y | <= 1 x | 0.50 x | yes |\n| z | >= 2 | not measured | **no** |" in text


def test_json_has_median_minimum_and_every_sample() -> None:
    report = json.loads(json.dumps(as_json(outcome(), ABOUT, Plan())))
    assert report["rows"][0]["contenders"]["x"] == {
        "median": 2.0,
        "min": 1.0,
        "samples": [1.0, 3.0, 2.0],
    }
    assert report["environment"]["cpu"] == "Z80"
    assert report["plan"]["capacity"] == 10_000
    assert report["skipped"] == {"gone": "absent is not installed"}
    assert [v["met"] for v in report["verdicts"]] == [True, False]


def test_tables_are_put_between_their_markers() -> None:
    page = "before\n<!-- bench:ops -->\nold\n<!-- /bench -->\nafter"
    text = update_tables(page, outcome(), ABOUT)
    assert text.startswith("before\n<!-- bench:ops -->\n| | get (ns)")
    assert text.endswith("<!-- /bench -->\nafter")
    assert "old" not in text
    assert update_tables(text, outcome(), ABOUT) == text


@pytest.mark.parametrize("page", ["no marker", "<!-- bench:cost -->\n<!-- /bench -->"])
def test_a_page_without_a_fitting_marker_is_refused(page: str) -> None:
    with pytest.raises(BenchError, match=r"marker|no table 'cost'"):
        update_tables(page, outcome(), ABOUT)


# the command


def test_list_names_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [row.name for row in ROWS]


def test_a_quick_run_writes_what_it_was_asked_for(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("<!-- bench:cache-operations --><!-- /bench -->")
    data, page = tmp_path / "deep" / "r.json", tmp_path / "r.md"
    arguments = ["--quick", "--only", "cache.get-hit", "--contenders", "dict"]
    files = ["--json", str(data), "--markdown", str(page), "--update", str(readme)]
    assert main(arguments + files) == 0
    assert list(json.loads(data.read_text())["rows"][0]["contenders"]) == ["dict"]
    assert "| dict |" in page.read_text()
    assert "| dict |" in readme.read_text()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--only", "nothing"], "no row is called 'nothing'"),
        (["--contenders", "no such"], "no contender's name contains 'no such'"),
        (["--update", "no/such/file"], "cannot write"),
    ],
)
def test_what_cannot_be_done_exits_with_2_at_once(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--quick", *arguments]) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("size", ["0", "-1", "x", "1.5"])
def test_a_size_must_be_a_positive_int(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([f"--sizes={size}"])
    assert stop.value.code == 2
    assert "a size must be an int >= 1" in capsys.readouterr().err


def test_an_unmet_verdict_is_shown_and_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("penstock.bench._command.Plan", plan)
    arguments = ["--only", "cache.get-hit", "--contenders", "dict"]
    assert main(arguments, judge=lambda _: [Verdict("x", "<= 1", "2", met=False)]) == 0
    assert "| x | <= 1 | 2 | **no** |" in capsys.readouterr().out


def test_a_contender_is_given_the_backend_it_names() -> None:
    ours = find("penstock Cache")
    assert ours.backend is not None
    made = build(ours, n=3)
    assert cast("ModuleType", made["penstock"]).BACKEND == penstock.BACKEND
    assert cast("penstock.Cache[str, int]", made["c"]).maxsize == 3
