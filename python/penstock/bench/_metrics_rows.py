"""The hot paths of metrics: counting, setting, observing, timing; and what a series takes."""

from __future__ import annotations

import math
import random
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from penstock.bench._engine import Runner, SyncRunner, compile_loop, interleave
from penstock.bench._memory_rows import ask_child
from penstock.bench._model import BenchError, Contender, Outcome, Plan, Result, Row
from penstock.bench._process_runner import ProcessRunner
from penstock.bench._subjects import build, check_installed, each

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["METRICS_ROWS", "latencies", "runner_of"]

_TABLE: Final = "metrics operations"
_VALUES: Final = 1_000
_SEED: Final = 3
# As of requests: half of them within 50 ms, one in a hundred above half a second.
_MEDIAN: Final = 0.05
_SIGMA: Final = 1.0
# A tenth of the entries of a cache: a series is a large thing.
_SHARE_OF_ENTRIES: Final = 10


@dataclass(frozen=True, slots=True)
class _Operation:
    op: str
    title: str


def latencies(count: int) -> list[float]:
    """Return *count* lognormal seconds, the same each time."""
    dice = random.Random(_SEED)
    return [dice.lognormvariate(math.log(_MEDIAN), _SIGMA) for _ in range(count)]


def runner_of(
    contender: Contender,
    op: str,
    keys: Sequence[object],
    plan: Plan,
    stack: ExitStack,
    **given: object,
) -> Runner:
    """Return what runs the operation *op* of *contender*, in its own process if it needs one."""
    if contender.own_process:
        check_installed(contender)
        return stack.enter_context(ProcessRunner(contender, contender.ops[op], keys, given))
    subject = build(contender, **given)["c"]
    loop = compile_loop(contender.ops[op], {}, bind=contender.bind)
    return SyncRunner(loop, subject, keys, plan.clock)


def _measure(
    operation: _Operation, row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome
) -> None:
    keys: list[object] = [*latencies(_VALUES)]
    runners: dict[str, Runner] = {}
    with ExitStack() as stack:

        def prepare(contender: Contender) -> None:
            runner = runner_of(contender, operation.op, keys, plan, stack)
            runner(1)
            runners[contender.name] = runner

        each([c for c in contenders if operation.op in c.ops], row, outcome, prepare)
        samples = interleave(runners, rounds=plan.rounds, round_ns=plan.round_ns)
    outcome.results.append(Result(row.name, _TABLE, operation.title, "ns", samples))


def _weigh(
    labels: str,
    title: str,
    row: Row,
    contenders: Sequence[Contender],
    plan: Plan,
    outcome: Outcome,
) -> None:
    entries = plan.entries // _SHARE_OF_ENTRIES
    samples: dict[str, list[float]] = {}

    def weigh(contender: Contender) -> None:
        check_installed(contender)
        answer = ask_child(contender, entries, labels=labels, count=contender.ops["count"])
        if answer["count"] != entries:
            msg = f"{answer['count']:,} of {entries:,} series are there"
            raise BenchError(msg)
        samples[contender.name] = [answer["bytes"] / entries]

    each(contenders, row, outcome, weigh)
    table = f"metrics memory: {entries:,} counter series with two labels"
    outcome.results.append(Result(row.name, table, title, "B/series", samples, digits=0))


def _row(name: str, summary: str, op: str, title: str) -> Row:
    return Row(f"metrics.{name}", "metrics", summary, partial(_measure, _Operation(op, title)))


METRICS_ROWS: Final[tuple[Row, ...]] = (
    _row("inc", "inc of a counter without labels", "inc", "Counter.inc()"),
    _row("child", "inc of a child that the caller has kept", "child", "cached child, inc()"),
    _row(
        "labels", "look-up by two label values, and inc", "labels", '`labels("GET", "200").inc()`'
    ),
    _row(
        "labels-kw",
        "the same with the label values by name",
        "labels-kw",
        '`labels(method="GET", status="200").inc()`',
    ),
    _row("set", "set of a gauge", "set", "Gauge.set"),
    _row("observe", "observe of a histogram with 15 buckets", "observe", "Histogram.observe"),
    _row("summary", "observe of a summary", "summary", "Summary.observe"),
    _row("time", "with histogram.time(): pass", "time", "`with h.time(): pass`"),
    Row(
        "metrics.memory-shared",
        "series",
        "bytes per counter series whose label strings exist anyway, resident set of a child",
        partial(_weigh, "shared", "labels shared with the caller"),
    ),
    Row(
        "metrics.memory-own",
        "series",
        "bytes per counter series, its label strings included, resident set of a child",
        partial(_weigh, "own", "labels of its own"),
    ),
)
