"""The rows of flow control and executors: what is in the loop, what is checked, what is claimed."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.benching import SUFFIX, ours, plan, ticking

from penstock.bench import BUILTIN, Outcome, Result, flow, run_rows
from penstock.bench._engine import SyncRunner, compile_loop
from penstock.bench._flow_contenders import BARE
from penstock.bench._flow_rows import CrowdRunner, in_loop
from penstock.bench._rows import ROWS, choose

if TYPE_CHECKING:
    from penstock.bench import Plan

BENCHES = Path(__file__).parents[2] / "benches"
EXECUTOR = f"penstock Executor{SUFFIX}"


def small() -> Plan:
    return plan(items=6, sleep=0.0, capacity=4)


def rows_of(*kinds: str) -> list[str]:
    return [row.name for row in ROWS if row.kind in kinds]


# penstock


@pytest.mark.parametrize("row", rows_of("limiter", "retry", "breaker", "map", "executor"))
def test_penstock_takes_part_in_every_row(row: str) -> None:
    ((kind),) = {r.kind for r in choose([row])}
    run = run_rows(choose([row]), ours(kind), small())
    assert run.outcome.failed == {}
    (result,) = run.outcome.results
    expected = {c.name for c in ours(kind)}
    if row == "flow.turn":  # a rate has no turns to take
        expected -= {f"penstock RateLimiter{SUFFIX}"}
    assert set(result.samples) == expected


@pytest.mark.parametrize("row", rows_of("limiter", "retry", "breaker", "map", "executor"))
def test_so_does_the_standard_library(row: str) -> None:
    ((kind),) = {r.kind for r in choose([row])}
    theirs = [c for c in BUILTIN if kind in c.kinds and c.backend is None]
    run = run_rows(choose([row]), theirs, small())
    assert run.outcome.failed == {}
    (result,) = run.outcome.results
    assert result.samples or kind == "breaker"  # which the standard library does not have


def test_processes_do_their_tasks_too() -> None:
    contenders = [c for c in BUILTIN if "processes" in c.kinds]
    run = run_rows(choose(["executor.processes"]), contenders, small())
    assert run.outcome.failed == {}
    expected = {"penstock Executor, processes", "ProcessPoolExecutor"}
    assert set(run.outcome.results[0].samples) == expected


def test_executors_are_shut_down_when_their_row_is_done() -> None:
    before = set(threading.enumerate())
    run_rows(choose(["executor.submit"]), ours("executor"), small())
    assert set(threading.enumerate()) <= before


# limits


def test_a_crowd_runs_the_loop_in_each_task_and_is_timed_as_a_whole() -> None:
    seen: list[object] = []
    loop = compile_loop("c(k)\nawait sleep(0)", {"sleep": asyncio.sleep}, coroutine=True)
    with in_loop() as event_loop:
        clock = ticking()
        inner = SyncRunner(loop, seen.append, [1, 2], clock)
        runner = CrowdRunner(inner, event_loop, 3, plan(clock=clock))
        assert runner.operations == 6
        # Two readings around each pass of each task, one before and one after them all.
        assert runner(4) == 3 * 4 * 2 + 1
    assert sorted(map(str, seen)) == ["1"] * 12 + ["2"] * 12
    assert seen[:3] == [1, 1, 1]  # at once, not one after the other


def test_what_asks_for_the_running_loop_finds_it_when_it_is_built() -> None:
    picky = flow("picky", "limiter", "c = asyncio.get_running_loop()", {"enter": "await sleep(0)"})
    run = run_rows(choose(["flow.enter"]), [picky], small())
    assert run.outcome.failed == {}


# what comes above the bare call


def test_the_bare_call_is_taken_off_in_each_round() -> None:
    slow = flow("slow", "breaker", "c = g", {"call": "c()\nc()"})
    run = run_rows(choose(["flow.breaker"]), [slow], plan(clock=ticking()))
    (result,) = run.outcome.results
    assert list(result.samples) == ["slow"]  # the bare call has no line of its own
    assert result.samples["slow"] == [0.0, 0.0]  # on a clock that only ticks all take the same
    assert not result.steady
    assert BARE.name not in result.samples


# maps


def test_results_that_are_missing_or_in_another_order_are_refused() -> None:
    for found, message in (
        ("items[:-1]", "5 of 6 items came back in order"),
        ("items[::-1]", "6 of 6 items came back in order"),
    ):
        wrong = flow("wrong", "map", "c = None", {"map": f"found = {found}"})
        run = run_rows(choose(["flow.map"]), [wrong], small())
        (failure,) = run.outcome.failed.values()
        assert failure == f"AssertionError: {message}"


def test_a_map_is_measured_as_a_whole_in_milliseconds() -> None:
    (contender,) = ours("map")
    run = run_rows(choose(["flow.map"]), [contender], small())
    (result,) = run.outcome.results
    assert result.samples[contender.name] == [1e-6, 1e-6]  # one tick of the clock
    assert (result.unit, result.table) == ("ms", "map: 6 items of 1 ms, 100 at once")


# executors


def test_a_burst_is_shared_among_its_tasks() -> None:
    run = run_rows(choose(["executor.burst"]), ours("executor"), small())
    (result,) = run.outcome.results
    assert result.samples[EXECUTOR] == [pytest.approx(1 / 4 / 1000)] * 2  # a tick, four tasks
    assert result.title == "burst of 4"


def test_efficiency_is_the_ideal_time_over_the_time() -> None:
    # A hundred tasks of 8 ns on eight workers: 100 ns at best; the clock ticks 250 at a time.
    tasks = plan(sleep=8e-9, clock=ticking(250))
    run = run_rows(choose(["executor.sleep"]), ours("executor"), tasks)
    (result,) = run.outcome.results
    assert result.samples[EXECUTOR] == pytest.approx([0.4, 0.4])


# what is claimed


@pytest.mark.parametrize(
    ("row", "samples", "measured", "met"),
    [
        ("flow.enter", {"penstock Limiter": 25, "asyncio.Semaphore": 100}, "0.25 x", True),
        ("flow.enter", {"penstock Limiter": 26, "asyncio.Semaphore": 100}, "0.26 x", False),
        ("flow.enter", {"penstock Limiter": 16, "aiolimiter": 100}, "0.16 x", False),
        ("flow.retry", {"penstock retry": 1, "tenacity": 50}, "50.00 x", True),
        ("flow.retry", {"penstock retry": 1, "stamina": 39}, "39.00 x", False),
        ("flow.breaker", {"penstock CircuitBreaker, block": 151}, "151.0 ns", False),
        (
            "flow.map",
            {"penstock map_concurrent": 1, "one after another": 45},
            "45.00 x",
            True,
        ),
        ("executor.submit", {"penstock Executor": 7, "ThreadPoolExecutor": 10}, "0.70 x", True),
        ("executor.burst", {"penstock Executor": 6, "ThreadPoolExecutor": 10}, "0.60 x", False),
        ("executor.run", {"penstock Executor": 6, "ThreadPoolExecutor": 10}, "0.60 x", True),
        ("executor.sleep", {"penstock Executor": 0.92}, "0.92 x", False),
    ],
)
def test_goals_of_flow_control_read_their_rows(
    monkeypatch: pytest.MonkeyPatch,
    row: str,
    samples: dict[str, float],
    measured: str,
    met: bool,
) -> None:
    monkeypatch.syspath_prepend(str(BENCHES))
    import goals

    result = Result(row, "t", "t", "ns", {name: [value] for name, value in samples.items()})
    found = [v for v in goals.judge(Outcome([result])) if v.measured is not None]
    assert [(v.measured, v.met) for v in found] == [(measured, met)]


def test_every_peer_of_flow_control_fits_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHES))
    from flow_peers import FLOW_PEERS

    kinds = {row.kind for row in ROWS}
    for peer in FLOW_PEERS:
        assert peer.kinds <= kinds
        assert peer.needs is not None
        assert peer.ops
