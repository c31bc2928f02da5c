"""The harness behind ``penstock bench``: measuring, figures, refusals, rows."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from tests.benching import ABOUT, DICT, SUFFIX, find, plan, ticking

import penstock
from penstock.bench import (
    BenchError,
    Outcome,
    Result,
    cache,
    function,
    main,
    run_rows,
)
from penstock.bench._engine import SyncRunner, compile_loop, gc_off, interleave
from penstock.bench._report import as_markdown
from penstock.bench._rows import ROWS, choose
from penstock.bench._subjects import MissingError, load_backend, refuse_debug_build
from penstock.bench._thread_rows import ThreadsRunner

if TYPE_CHECKING:
    from collections.abc import Coroutine


class Fixed:
    """A runner of a known cost, which writes its calls down."""

    operations = 4

    def __init__(self, name: str, cost: int, log: list[tuple[str, int]]) -> None:
        self.name, self.cost, self.log = name, cost, log

    def __call__(self, passes: int) -> int:
        self.log.append((self.name, passes))
        return passes * self.operations * self.cost


# measuring


def test_contenders_take_turns_and_each_round_begins_with_the_next() -> None:
    log: list[tuple[str, int]] = []
    interleave({n: Fixed(n, 1, log) for n in "abc"}, rounds=4, round_ns=4)
    turns = "".join(name for name, _ in log[::2])  # each pass has one before it
    assert turns == "abc" + "abc" + "bca" + "cab" + "abc"


def test_samples_are_nanoseconds_per_operation_in_order_of_the_rounds() -> None:
    log: list[tuple[str, int]] = []
    samples = interleave(
        {"fast": Fixed("fast", 2, log), "slow": Fixed("slow", 50, log)}, rounds=3, round_ns=80
    )
    assert samples == {"fast": [2.0] * 3, "slow": [50.0] * 3}


def test_a_round_has_as_many_passes_as_fit_but_at_least_one() -> None:
    log: list[tuple[str, int]] = []
    interleave(
        {"fast": Fixed("fast", 2, log), "slow": Fixed("slow", 50, log)}, rounds=1, round_ns=80
    )
    assert log[-3:] == [("fast", 10), ("slow", 1), ("slow", 1)]


def test_a_round_begins_with_a_pass_that_does_not_count_unless_that_is_long() -> None:
    log: list[tuple[str, int]] = []
    fast = Fixed("fast", 2, log)
    samples = interleave({"fast": fast}, rounds=2, round_ns=80)
    assert log[2:] == [("fast", 1), ("fast", 10)] * 2
    assert samples == {"fast": [2.0, 2.0]}
    log.clear()
    interleave({"long": Fixed("long", 50_000_000, log)}, rounds=2, round_ns=80)
    assert log[2:] == [("long", 1)] * 2


def test_no_contender_gives_no_samples() -> None:
    assert interleave({}, rounds=3, round_ns=1) == {}


def test_the_collector_is_off_while_measuring_and_on_again_after_an_error() -> None:
    assert gc.isenabled()
    seen: list[bool] = []

    def fail() -> None:
        with gc_off():
            seen.append(gc.isenabled())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert seen == [False]
    assert gc.isenabled()


def test_the_loop_runs_its_body_once_per_key_and_pass() -> None:
    seen: list[object] = []
    loop = compile_loop("add(k)", {}, bind="add = c.append")
    loop(seen, ["a", "b"], [], None, 3, ticking())
    assert seen == ["a", "b"] * 3


def test_only_the_loop_is_timed_not_what_prepares_a_pass() -> None:
    clock = ticking(10)
    loop = compile_loop("pass", {"clock": clock}, bind="clock()", reset="clock()")
    runner = SyncRunner(loop, None, [1, 2], clock)
    assert runner(5) == 5 * 10  # two readings around each loop, whatever is read before


def test_a_coroutine_loop_awaits_its_operation() -> None:
    async def call(key: object) -> None:
        seen.append(key)

    seen: list[object] = []
    loop = compile_loop("await f(k)", {}, coroutine=True)
    coroutine = loop(call, [1, 2], [], None, 2, ticking())
    assert asyncio.run(cast("Coroutine[object, object, int]", coroutine)) == 2
    assert seen == [1, 2, 1, 2]


def test_threads_are_timed_from_the_first_start_to_the_last_end() -> None:
    log: list[tuple[str, int]] = []
    runner = ThreadsRunner([Fixed("a", 1, log), Fixed("b", 1, log)], ticking(7))
    assert runner.operations == 8
    assert runner(2) == 3 * 7  # four readings in any order: three ticks from first to last
    assert sorted(log) == [("a", 2), ("b", 2)]


# figures


def test_the_median_ignores_an_outlier_and_low_is_the_best_round() -> None:
    result = Result("r", "t", "get", "ns", {"x": [10.0, 900.0, 11.0]})
    assert (result.median("x"), result.low("x")) == (11.0, 10.0)


def test_a_row_that_other_work_slowed_down_is_named() -> None:
    quiet, busy = [10.0, 13.0] * 5, [10.0] * 4 + [20.0] * 6
    results = [Result(name, "t", "get", "ns", {"x": quiet, "y": quiet}) for name in ("q", "b")]
    results[1].samples["y"] = busy
    assert Outcome(results).disturbed() == ["b"]
    assert not Result("few", "t", "get", "ns", {"x": [1.0, 9.0, 9.0]}).disturbed()


def test_a_ratio_is_taken_round_by_round() -> None:
    # Two rounds agree, and the third, with a hiccup of one side, does not spoil them.
    result = Result("r", "t", "get", "ns", {"x": [1.0, 9.0, 10.0], "y": [2.0, 18.0, 5.0]})
    assert result.ratio("x", "y") == 0.5


def test_a_ratio_without_paired_rounds_is_that_of_the_medians() -> None:
    result = Result("r", "t", "get", "ns", {"x": [4.0], "y": [1.0, 2.0, 3.0]})
    assert result.ratio("x", "y") == 2.0


# refusals and absences


def test_a_debug_build_is_refused() -> None:
    package = SimpleNamespace(BACKEND="native", build_info=lambda: {"profile": "debug"})
    with pytest.raises(BenchError, match="debug build"):
        refuse_debug_build(cast("ModuleType", package))


@pytest.mark.parametrize(("backend", "profile"), [("native", "release"), ("pure", "debug")])
def test_other_builds_are_measured(backend: str, profile: str) -> None:
    package = SimpleNamespace(BACKEND=backend, build_info=lambda: {"profile": profile})
    refuse_debug_build(cast("ModuleType", package))


def test_the_command_exits_with_2_on_a_debug_build(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(penstock, "BACKEND", "native")
    monkeypatch.setattr(penstock, "build_info", lambda: {"profile": "debug"})
    assert main(["--quick", "--only", "cache.get-hit"]) == 2
    assert "debug build" in capsys.readouterr().err


def test_a_missing_peer_is_named_and_the_others_are_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    absent = cache("nocache", "import nocache", needs="no-such-distribution")
    run = run_rows(choose(["cache.get-hit"]), [absent, DICT], plan())
    assert run.outcome.skipped == {"nocache": "no-such-distribution is not installed"}
    assert list(run.outcome.results[0].samples) == ["dict"]
    assert "NOT MEASURED: nocache: no-such-distribution" in capsys.readouterr().err
    assert "- nocache: no-such-distribution is not installed" in as_markdown(run.outcome, ABOUT)


def test_a_broken_peer_fails_the_command_but_not_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken = cache("dict, broken", "c = {}", ops={"get": "c[k + 1]"})
    code = main(["--quick", "--only", "cache.get-hit", "--contenders", "dict"], peers=[broken])
    output = capsys.readouterr().out
    assert code == 1
    assert "dict, broken (cache.get-hit): TypeError" in output
    assert "| dict |" in output


def test_a_cache_that_does_not_keep_its_keys_is_marked() -> None:
    leaky = cache("leaky", "c = {}", ops={"set": "c['only'] = v"})
    run = run_rows(choose(["cache.get-hit"]), [leaky], plan())
    assert run.outcome.notes == {"leaky": "kept 0 of 8 keys"}
    assert "| leaky * |" in as_markdown(run.outcome, ABOUT)


def test_the_twin_is_a_second_copy_that_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.bench._subjects._pure", None)
    monkeypatch.setenv("PENSTOCK_REQUIRE_NATIVE", "1")
    load_backend("native" if penstock.BACKEND == "native" else "pure")  # that of the copy in use
    before = {name: sys.modules[name] for name in sys.modules if name.startswith("penstock")}
    environment = dict(os.environ)
    assert load_backend("pure").BACKEND == "pure"
    after = {name: sys.modules[name] for name in sys.modules if name.startswith("penstock")}
    assert after == before
    assert dict(os.environ) == environment


def test_a_missing_extension_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(penstock, "BACKEND", "pure")
    with pytest.raises(MissingError, match="native extension"):
        load_backend("native")


# rows


@pytest.mark.parametrize("row", [row for row in ROWS if row.kind in {"cache", "sync", "async"}])
def test_penstock_takes_part_in_every_row(row: object) -> None:
    chosen = next(r for r in ROWS if r is row)
    ours = [find("penstock Cache"), find("penstock cached")]
    run = run_rows([chosen], ours, plan())
    assert not run.outcome.failed
    assert len(run.outcome.results[0].samples) == 1


STRICT = """
class Strict(dict):
    def __setitem__(self, key, value):
        assert key not in self
        super().__setitem__(key, value)
        if len(self) > n:
            del self[next(iter(self))]
c = Strict()
"""


def test_a_new_key_is_never_one_that_is_still_cached() -> None:
    run = run_rows(choose(["cache.set-new"]), [cache("strict", STRICT)], plan())
    assert run.outcome.failed == {}
    assert list(run.outcome.results[0].samples) == ["strict"]


def test_concurrent_misses_are_counted_by_load() -> None:
    alone = function("no cache", ("stampede",), "")
    run = run_rows(choose(["stampede"])[:1], [find("penstock cached"), alone], plan())
    loads = run.outcome.find("stampede.loads")
    assert loads is not None
    assert loads.samples == {f"penstock cached{SUFFIX}": [1.0], "no cache": [10.0]}


def test_memory_is_measured_in_a_child() -> None:
    run = run_rows(choose(["memory"]), [DICT], plan(entries=100_000))
    assert run.outcome.failed == {}
    assert run.outcome.results[0].median("dict") > 0


def test_a_row_is_chosen_by_its_name_or_its_first_words() -> None:
    assert [row.name for row in choose(["cached.sync"])] == ["cached.sync.str", "cached.sync.three"]
    assert [row.name for row in choose(["memory.int", "memory"])] == ["memory.int"]
    assert choose(None) == list(ROWS)
    with pytest.raises(BenchError, match="no row is called 'cach'"):
        choose(["cach"])
