"""What only the pure twin of the metrics has to be watched for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from tests.clock import Clock
from tests.forks import in_child
from tests.interrupts import at_every_step
from tests.metering import KINDS, make
from tests.threads import LIMIT, spawn

from penstock import _pure
from penstock._pure.metrics.lock import LOCK

ROOT = Path(__file__).parents[2]

Call = Callable[[Any], object]
OPERATIONS: dict[str, list[tuple[Call, float]]] = {
    "Counter": [(lambda metric: metric.inc(2), 2), (lambda metric: metric.inc(0.5), 0.5)],
    "Gauge": [(lambda metric: metric.inc(2), 2), (lambda metric: metric.dec(0.5), -0.5)],
    "Summary": [(lambda metric: metric.observe(2), 2)],
    "Histogram": [
        (lambda metric: metric.observe(2), 2),
        (lambda metric: metric.observe(0.5, {"a": "b"}), 0.5),
        (lambda metric: metric.observe(-100), -100),
    ],
}
PAIRS = [
    pytest.param(kind, outer, inner, id=f"{kind}-{at}-{after}")
    for kind, operations in OPERATIONS.items()
    for at, outer in enumerate(operations)
    for after, inner in enumerate(operations)
]


def total(metric: Any) -> float:
    read = metric._read()
    return read if isinstance(read, float) else read[0 if metric._type == "counter" else 1]


@pytest.mark.parametrize(("kind", "outer", "inner"), PAIRS)
def test_an_interruption_at_any_step_loses_nothing(
    kind: str, outer: tuple[Call, float], inner: tuple[Call, float]
) -> None:
    metrics: list[Any] = []

    def prepare() -> tuple[Callable[[], object], Callable[[], object]]:
        metric = make(_pure, kind, timer=Clock())
        metrics[:] = [metric]
        return lambda: outer[0](metric), lambda: inner[0](metric)

    steps = []
    for step in at_every_step("penstock._pure", prepare):
        (metric,) = metrics
        assert total(metric) == outer[1] + inner[1]
        if kind == "Summary":
            assert metric._read()[0] == 2
        if kind == "Histogram":
            assert sum(metric._read()[0]) == metric.count() == 2
            assert metric.mean() * 2 == outer[1] + inner[1]
            assert metric.max() == max(outer[1], inner[1])
            (slot,) = metric._cell.window._slots
            assert sum(slot.buckets.values()) == 2
        steps.append(step)
    assert len(steps) > 3


@pytest.mark.parametrize("inner", ["labels", "remove", "clear"])
@pytest.mark.parametrize("outer", ["labels", "new labels", "remove", "clear", "list", "where"])
def test_an_interruption_at_any_step_leaves_one_child_for_each_value(
    outer: str, inner: str
) -> None:
    made: list[Any] = []
    acts: dict[str, Call] = {
        "labels": lambda metric: made.append(metric.labels("a")),
        "new labels": lambda metric: made.append(metric.labels("b")),
        "remove": lambda metric: metric.remove("a"),
        "clear": lambda metric: metric.clear(),
        "list": lambda metric: metric._children(),
        "where": lambda metric: metric._remove_where({0: "a"}),
    }
    metrics: list[Any] = []

    def prepare() -> tuple[Callable[[], object], Callable[[], object]]:
        made.clear()
        metric = make(_pure, "Counter", "label")
        metric.labels("z")
        metrics[:] = [metric]
        return lambda: acts[outer](metric), lambda: acts[inner](metric)

    for _ in at_every_step("penstock._pure", prepare):
        (metric,) = metrics
        values = [child._labelvalues for child in metric._children()]
        assert len(values) == len(set(values))
        if inner == outer == "labels":
            assert made[0] is made[1] is metric.labels("a")


def test_a_question_can_be_interrupted_by_observations() -> None:
    clocks: list[Clock] = []

    def prepare() -> tuple[Callable[[], object], Callable[[], object]]:
        clock = Clock()
        clocks[:] = [clock]
        metric = make(_pure, "Histogram", timer=clock)
        for amount in (0, 1, -1, 8):
            metric.observe(amount)

        def more() -> None:
            for amount in range(100, 140):
                metric.observe(amount)
            clock.now = 30.0
            metric.observe(1000)

        return lambda: (metric.quantile(0.5), metric.count(), metric.max()), more

    assert len(list(at_every_step("penstock._pure", prepare))) > 20


@pytest.mark.usefixtures("taking_turns")
@pytest.mark.parametrize("kind", KINDS)
def test_every_change_takes_the_lock(kind: str) -> None:
    metric = make(_pure, kind, "label")
    child = metric.labels("a")
    calls: list[Callable[[], object]] = [call for call, _ in OPERATIONS[kind]]  # type: ignore[misc]
    with LOCK:
        threads = [spawn(call, child) for call in calls]
        threads += [spawn(metric.labels, "b"), spawn(metric.clear), spawn(metric.remove, "a")]
        assert total(child) == 0
        assert metric._children() == [child]
    for thread in threads:
        thread.wait()
    assert total(child) != 0


class Turn:
    """What is done right before a fork; it can be said once only for the life of a process."""

    act: Callable[[], object] | None = None

    @classmethod
    def take(cls) -> None:
        if cls.act is not None:
            cls.act()


if hasattr(os, "fork"):
    os.register_at_fork(before=Turn.take)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.usefixtures("taking_turns")
def test_no_change_is_half_done_in_a_forked_child(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = make(_pure, "Counter")
    locked, forking = Event(), Event()

    def change() -> None:
        with LOCK:
            counter._cell.whole = -1
            locked.set()
            assert forking.wait(LIMIT)
            counter._cell.whole = 5

    thread = spawn(change)
    assert locked.wait(LIMIT)
    monkeypatch.setattr(Turn, "act", forking.set)

    def work() -> None:
        counter.inc()
        assert total(counter) == 6

    assert in_child(work)
    thread.result()
    assert total(counter) == 5


def test_steps_that_are_over_take_no_memory() -> None:
    clock = Clock()
    metric = make(_pure, "Histogram", timer=clock)
    for number in range(100):
        metric.observe(number)
        clock.advance(3)
        assert len(metric._cell.window._slots) <= 12


def test_a_family_that_died_is_forgotten() -> None:
    from penstock._pure.metrics import tally

    before = len(tally._tallies)
    metrics = [make(_pure, kind, "label") for kind in KINDS]
    children = [metric.labels("a") for metric in metrics]
    assert len(tally._tallies) == before + len(metrics)
    del metrics
    assert len(tally._tallies) == before + len(children)  # a child may still refuse something
    del children
    assert len(tally._tallies) == before


def test_importing_the_twin_does_not_import_prometheus_client() -> None:
    code = (
        "import sys, penstock._pure as pure; c = pure.Histogram();"
        "c._init('a', 'b', '', (), None, (1.0, float('inf')), 60.0, None); c.observe(1); c.mean();"
        "assert 'prometheus_client' not in sys.modules; pure.encode([c], True, True, None);"
        "assert 'prometheus_client' in sys.modules"
    )
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert child.returncode == 0, child.stderr


def test_the_twin_imports_nothing_from_the_floors_above() -> None:
    for source in (ROOT / "python/penstock/_pure/metrics").glob("*.py"):
        imported = re.findall(r"(?m)^\s*(?:from|import)\s+(penstock[\w.]*)", source.read_text())
        assert all(name.startswith("penstock._pure") for name in imported), source.name
