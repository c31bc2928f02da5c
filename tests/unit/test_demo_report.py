"""The table, the JSON, and what makes a run invalid."""

from __future__ import annotations

import json

from penstock.demo._keys import Workload
from penstock.demo._model import DemoOptions, Load, Round, RoundResult, ServiceStats
from penstock.demo._report import (
    Report,
    Restart,
    find_event_problems,
    find_problems,
    find_restart_problems,
)

_WORK = Workload((1, 2, 1, 1), 20, "Zipf 0.99 keys")


def _as_is() -> RoundResult:
    load = Load(seconds=4.0, latencies=[0.010, 0.020, 0.030, 0.040], digests={1: b"one", 2: b"two"})
    stats = _stats(reads=4, hits=0, misses=0)
    return RoundResult(Round("as is"), load, stats)


def _cached() -> RoundResult:
    load = Load(seconds=1.0, latencies=[0.001] * 3 + [0.02], digests={1: b"one", 2: b"two"})
    return RoundResult(Round("@cached", cached=True), load, _stats(reads=2, hits=1, misses=3))


def _stats(
    *, reads: int, hits: int, misses: int, rows: int = 0, commits: int = 0, l2_hits: int = 0
) -> ServiceStats:
    return {
        "backend": "pure",
        "server": "Starlette on uvicorn",
        "reads": reads,
        "read_cpu_seconds": reads * 0.002,
        "hits": hits,
        "misses": misses,
        "evictions": 0,
        "l2_hits": l2_hits,
        "rows": rows,
        "commits": commits,
    }


def _report(*results: RoundResult) -> Report:
    return Report(DemoOptions(concurrency=3), _WORK, list(results), 12.5)


def _recorded(name: str = "Recorder", rows: int = 2, commits: int = 1) -> RoundResult:
    load = Load(seconds=0.5, latencies=[0.001, 0.002], digests={1: b"one"})
    stats = _stats(reads=1, hits=1, misses=1, rows=rows, commits=commits)
    return RoundResult(Round(name, cached=True), load, stats)


def _with_events(*events: RoundResult) -> Report:
    return Report(DemoOptions(concurrency=3), _WORK, [_as_is(), _cached()], 12.5, events)


def _started(name: str, reads: int, l2_hits: int, seconds: float = 1.0) -> RoundResult:
    load = Load(seconds=seconds, latencies=[0.001, 0.002], digests={1: b"one"})
    stats = _stats(reads=reads, hits=2 - reads, misses=reads, l2_hits=l2_hits)
    return RoundResult(Round(name, cached=True), load, stats)


def _restart() -> Restart:
    first, second = _started("no L2", 2, 0), _started("L2, first start", 2, 0)
    return Restart("SQLite", (first, second, _started("L2, restarted", 0, 1, 0.25)))


def _with_restart(restart: Restart) -> Report:
    return Report(DemoOptions(concurrency=3), _WORK, [_as_is(), _cached()], 12.5, (), restart)


def _row(text: str, label: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(label)]
    return line.removeprefix(label).split()


def test_rounds_stand_side_by_side_with_their_factor() -> None:
    text = _report(_as_is(), _cached()).as_text()
    assert _row(text, "requests/s") == ["1", "4", "4.0x"]
    assert _row(text, "p50") == ["20.0", "ms", "1.0", "ms", "20.0x"]
    assert _row(text, "p99") == ["40.0", "ms", "20.0", "ms", "2.0x"]
    assert _row(text, "database reads") == ["4", "2", "2.0x"]
    assert _row(text, "hit ratio") == ["-", "25.0%"]
    assert _row(text, "shared a read") == ["-", "1"]
    assert "4.0x the requests per second" in text


def test_report_says_what_ran() -> None:
    text = _report(_as_is(), _cached()).as_text()
    assert "20 documents; 4 requests for 2 of them (Zipf 0.99 keys, seed 1), 3 at a time" in text
    assert "penstock's pure" in text
    assert "uncached read: 2.0 ms of processor time" in text


def test_run_that_was_cut_short_says_so() -> None:
    planned = Workload((1, 2, 1, 1, 3), 20, "Zipf 0.99 keys")
    report = Report(DemoOptions(budget=2.5), planned, [_as_is(), _cached()], 12.5)
    text = " ".join(report.as_text().split())
    assert "4 requests for 2 of them" in text
    assert "cut short: 5 requests were to be made" in text
    assert "the first round made in 2.5 s" in text
    assert report.problems == []
    assert "cut short" not in _report(_as_is(), _cached()).as_text()


def test_third_round_gets_columns_of_its_own() -> None:
    text = _report(_as_is(), _cached(), _cached()).as_text()
    assert _row(text, "requests/s") == ["1", "4", "4.0x", "4", "4.0x"]


def test_json_has_the_same_figures() -> None:
    answer = json.loads(_report(_as_is(), _cached()).as_json())
    assert answer["ok"] is True
    assert answer["problems"] == []
    assert answer["requests"] == 4
    assert answer["distinct_keys"] == 2
    as_is, cached = answer["rounds"]
    assert as_is["hit_ratio"] is None
    assert cached["hit_ratio"] == 0.25
    assert cached["requests_per_second"] == 4
    assert answer["factors"]["@cached"]["requests_per_second"] == 4


def test_clean_run_has_no_problems() -> None:
    assert find_problems(4, [_as_is(), _cached()]) == []


def test_failed_requests_are_a_problem() -> None:
    broken = _cached()
    broken.load.errors = 3
    broken.load.first_error = "HTTP 500 for document 1"
    (problem,) = find_problems(4, [_as_is(), broken])
    assert problem == (
        "round '@cached': 3 of 4 requests failed, the first with HTTP 500 for document 1"
    )


def test_body_that_differs_between_rounds_is_a_problem() -> None:
    wrong = _cached()
    wrong.load.digests[2] = b"other"
    (problem,) = find_problems(4, [_as_is(), wrong])
    assert "the bodies of 1 documents are not what they were before" in problem


def test_body_that_changes_within_a_round_is_a_problem() -> None:
    wrong = _as_is()
    wrong.load.mismatches = 1
    assert len(find_problems(4, [wrong, _cached()])) == 1


def test_uncounted_look_ups_are_a_problem() -> None:
    wrong = _cached()
    wrong.stats["hits"] = 0
    assert find_problems(4, [_as_is(), wrong]) == [
        "round '@cached': the service counted 3 cache look-ups for 4 requests"
    ]


def test_uncounted_reads_are_a_problem() -> None:
    wrong = _as_is()
    wrong.stats["reads"] = 3
    assert find_problems(4, [wrong, _cached()]) == [
        "round 'as is': the service counted 3 database reads for 4 requests"
    ]


def test_invalid_run_says_so_instead_of_a_factor() -> None:
    wrong = _cached()
    wrong.load.errors = 1
    report = _report(_as_is(), wrong)
    assert "not valid: 1 problem(s)" in report.as_text()
    assert json.loads(report.as_json())["ok"] is False


def test_round_without_any_answer_can_still_be_reported() -> None:
    nothing = RoundResult(Round("as is"), Load(errors=4), _stats(reads=0, hits=0, misses=0))
    text = _report(nothing, _cached()).as_text()
    assert _row(text, "requests/s") == ["0", "4"]


def test_rounds_that_record_events_have_a_table_of_their_own() -> None:
    text = _with_events(_recorded("a commit each", commits=2), _recorded()).as_text()
    table = text[text.index("a commit each") :]
    assert "with @cached, 2 requests for the most popular documents" in text
    assert _row(table, "rows written") == ["2", "2"]
    assert _row(table, "commits") == ["2", "1", "2.0x"]
    assert _row(table, "requests/s") == ["4", "4", "1.0x"]
    assert text.endswith("12.5 s in all")


def test_json_has_the_events() -> None:
    report = _with_events(_recorded("a commit each", commits=2), _recorded())
    events = json.loads(report.as_json())["events"]
    assert events["requests"] == 2
    assert [each["rows_written"] for each in events["rounds"]] == [2, 2]
    assert events["factors"]["Recorder"]["commits"] == 2
    assert json.loads(_report(_as_is(), _cached()).as_json())["events"] is None


def test_event_that_is_not_there_is_a_problem() -> None:
    problem = "round 'Recorder': 1 events are in the database, for 2 requests"
    report = _with_events(_recorded("a commit each"), _recorded(rows=1))
    assert report.problems == [problem]
    assert "not valid: 1 problem(s)" in report.as_text()


def test_failed_and_wrong_answers_with_events_are_problems() -> None:
    broken, wrong = _recorded(), _recorded("other")
    broken.load.errors = 1
    broken.load.first_error = "HTTP 500 for document 1"
    wrong.load.digests[1] = b"other"
    assert find_event_problems([_recorded("base"), broken, wrong], {1: b"one"}) == [
        "round 'Recorder': 1 of 2 requests failed, the first with HTTP 500 for document 1",
        "round 'other': the bodies of 1 documents are not what they were before",
    ]


def test_restarted_services_have_a_table_of_their_own() -> None:
    text = _with_restart(_restart()).as_text()
    table = text[text.index("no L2") :]
    assert "services that have just been started, 2 requests: with an L2 (SQLite)" in text
    assert _row(table, "requests/s") == ["2", "2", "1.0x", "8", "4.0x"]
    assert _row(table, "database reads") == ["2", "2", "1.0x", "0"]
    assert _row(table, "answered by L2") == ["0", "0", "1"]
    assert text.endswith("12.5 s in all")


def test_json_has_the_restarted_services() -> None:
    restart = json.loads(_with_restart(_restart()).as_json())["restart"]
    assert (restart["store"], restart["requests"]) == ("SQLite", 2)
    assert [each["l2_hits"] for each in restart["rounds"]] == [0, 0, 1]
    assert restart["factors"]["L2, restarted"]["requests_per_second"] == 4
    assert json.loads(_report(_as_is(), _cached()).as_json())["restart"] is None


def test_wrong_answers_and_counts_of_restarted_services_are_problems() -> None:
    restart = _restart()
    _, second, third = restart.results
    second.load.digests[1] = b"other"
    third.stats["hits"] = 0
    assert find_restart_problems(restart.results, {1: b"one"}) == [
        "round 'L2, first start': the bodies of 1 documents are not what they were before",
        "round 'L2, restarted': the service counted 0 cache look-ups for 2 requests",
    ]
    assert "not valid: 2 problem(s)" in _with_restart(restart).as_text()
