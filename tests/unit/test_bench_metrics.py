"""The rows of metrics: operations, processes of their own, memory, and what is refused."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import prometheus_client
import pytest
from tests.benching import SUFFIX, ours, plan

from penstock.bench import Contender, Outcome, Result, family, main, run_rows
from penstock.bench._memory_child import columns
from penstock.bench._metrics_rows import latencies
from penstock.bench._process_runner import ProcessRunner
from penstock.bench._rows import ROWS, choose
from penstock.bench._subjects import load_backend

if TYPE_CHECKING:
    from types import ModuleType

BENCHES = Path(__file__).parents[2] / "benches"
OURS = f"penstock metrics{SUFFIX}"


# operations


@pytest.mark.parametrize("row", [row.name for row in ROWS if row.kind == "metrics"])
def test_penstock_takes_part_in_every_row_of_operations(row: str) -> None:
    run = run_rows(choose([row]), ours("metrics"), plan())
    assert run.outcome.failed == {}
    assert list(run.outcome.results[0].samples) == [OURS]


def test_an_operation_that_a_peer_does_not_have_is_left_empty() -> None:
    counts = family("list", ["metrics"], "c = []", ops={"inc": "c.append(1)"})
    run = run_rows(choose(["metrics.inc", "metrics.summary"]), [counts], plan())
    assert run.outcome.failed == {}
    assert [list(result.samples) for result in run.outcome.results] == [["list"], []]


def test_what_is_observed_is_the_same_each_time_and_like_requests() -> None:
    seconds = latencies(1_000)
    assert seconds == latencies(1_000)
    assert 0.045 < sorted(seconds)[500] < 0.055
    assert min(seconds) < 0.005 < 0.5 < max(seconds)


def test_the_twin_has_metrics_of_its_own_and_leaves_the_registry_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load_backend("native" if SUFFIX == "" else "pure")
    registry = prometheus_client.REGISTRY
    collectors = list(registry._collector_to_names)
    monkeypatch.setattr("penstock.bench._subjects._pure", None)
    monkeypatch.setattr("penstock.BACKEND", "native")  # else the copy in use is the twin
    twin = cast("ModuleType", load_backend("pure").metrics)
    assert twin is not sys.modules["penstock.metrics"]
    modules = {base.__module__ for base in twin.Counter.__mro__}
    assert "penstock._pure.metrics.counter" in modules
    assert "penstock._native" not in modules
    assert prometheus_client.REGISTRY is prometheus_client.registry.REGISTRY is registry
    assert list(registry._collector_to_names) == collectors


# processes of their own


def child(make: str, **options: str) -> Contender:
    return family("child", ["metrics"], make, ops={"inc": "c.append(k)"}, own_process=True)


def test_a_contender_in_a_process_of_its_own_takes_its_turns() -> None:
    make = f"import os\nc = []\nassert os.getpid() != {os.getpid()}"
    here = family("here", ["metrics"], "c = []", ops={"inc": "c.append(k)"})
    run = run_rows(choose(["metrics.inc"]), [child(make), here], plan())
    samples = run.outcome.results[0].samples
    assert run.outcome.failed == {}
    assert [(name, len(spent)) for name, spent in samples.items()] == [("child", 2), ("here", 2)]
    assert min(samples["child"]) > 0


def test_the_environment_of_such_a_process_is_not_that_of_the_others() -> None:
    make = "import os\nos.environ['PENSTOCK_BENCH_TEST'] = '1'\nc = []"
    with ProcessRunner(child(make), "c.append(k)", [1, 2]) as runner:
        assert runner.operations == 2
        assert runner(3) > 0
    assert "PENSTOCK_BENCH_TEST" not in os.environ


def test_such_a_process_can_import_what_this_one_can(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "only_here.py").write_text("c = []")
    monkeypatch.syspath_prepend(str(tmp_path))
    with ProcessRunner(child("from only_here import c"), "c.append(k)", [1]) as runner:
        assert runner(1) > 0


def test_such_a_process_works_on_the_keys_and_names_it_is_given() -> None:
    body = "assert k in c, 'unknown key'"
    with ProcessRunner(child("c = [0.5, start]"), body, [0.5, 7], {"start": 7}) as runner:
        runner(1)
    with (
        ProcessRunner(child("c = [0.5, start]"), body, [0.5, 7], {"start": 8}) as runner,
        pytest.raises(RuntimeError, match="AssertionError: unknown key"),
    ):
        runner(1)


def test_a_contender_that_cannot_be_built_there_fails_by_its_last_line() -> None:
    run = run_rows(choose(["metrics.inc"]), [child("import nothing_of_that_name")], plan())
    (failure,) = run.outcome.failed.values()
    assert failure.endswith("ModuleNotFoundError: No module named 'nothing_of_that_name'")


def test_a_process_that_dies_without_a_word_is_told_by_its_status() -> None:
    make = "import os\nc = os"
    with (
        ProcessRunner(child(make), "c._exit(5)", [1]) as runner,
        pytest.raises(RuntimeError, match="its process ended with status 5"),
    ):
        runner(1)


# memory


def test_series_are_weighed_in_a_child_that_has_them_all() -> None:
    run = run_rows(choose(["metrics.memory-own"]), ours("series"), plan(entries=50_000))
    assert run.outcome.failed == {}
    (result,) = run.outcome.results
    assert result.table == "metrics memory: 5,000 counter series with two labels"
    assert result.median(OURS) > 0


def test_a_family_that_does_not_keep_its_series_is_refused() -> None:
    make = "import penstock.metrics as m\n"
    make += "c = m.Counter('a', 'A.', ('b', 'c'), registry=None, max_series=3)"
    (usual,) = ours("series")
    bounded = family("bounded", ["series"], make, ops=dict(usual.ops), bind=usual.bind)
    run = run_rows(choose(["metrics.memory-own"]), [bounded], plan(entries=200))
    (failure,) = run.outcome.failed.values()
    assert failure == "BenchError: 4 of 20 series are there"


@pytest.mark.parametrize("labels", ["shared", "own"])
def test_each_series_has_label_values_of_its_own(labels: str) -> None:
    keys, values = columns(12, labels)
    assert len(set(zip(keys, values, strict=True))) == 12


def test_shared_label_values_are_the_same_objects_and_others_are_not() -> None:
    for labels, objects in (("shared", 3 + 5), ("own", 12 + 12)):
        keys, values = columns(12, labels)
        kept = [*keys, *values]
        assert len({id(label) for label in kept}) == objects


# what is claimed


def test_every_goal_is_about_a_row_and_the_worst_sample_counts_where_it_says_always(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(BENCHES))
    import goals

    named = [goal.row.removesuffix(".loads") for goal in goals.GOALS]
    assert {row.name for row in choose(named)} == set(named)
    samples = {"penstock metrics": [1.0, 1.0, 9.0], "penstock metrics, gzip": [2.0, 2.0, 2.0]}
    result = Result("scrape.loop", "t", "held", "ms", samples)
    (verdict,) = goals.judge(Outcome([result]))
    assert (verdict.measured, verdict.met) == ("9.0 ms", False)


def test_what_varies_by_its_nature_does_not_make_the_machine_busy() -> None:
    samples = {"x": [1.0] * 4 + [9.0] * 6}
    steady, other = (Result("r", "t", "gap", "ms", samples, steady=s) for s in (True, False))
    assert (steady.disturbed(), other.disturbed()) == (True, False)


def test_a_missing_peer_of_metrics_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    make, ops = "import nometrics", {"inc": "c.inc()"}
    absent = [
        family("absent", ["metrics"], make, ops=ops, needs="no-such-one"),
        family("away", ["metrics"], make, ops=ops, needs="no-such-one", own_process=True),
    ]
    code = main(["--quick", "--only", "metrics.inc", "--contenders", "a"], peers=absent)
    assert code == 0
    captured = capsys.readouterr()
    for name in ("absent", "away"):
        assert f"NOT MEASURED: {name}: no-such-one is not installed" in captured.err
        assert f"- {name}: no-such-one is not installed" in captured.out
