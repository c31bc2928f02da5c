"""Executors: what a task costs besides its own work, and how well sleeping tasks overlap."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from penstock.bench._engine import AsyncRunner, Runner, SyncRunner, compile_loop, interleave
from penstock.bench._executor_contenders import WORKERS
from penstock.bench._flow_rows import in_loop, prepared
from penstock.bench._model import Contender, Outcome, Plan, Result, Row
from penstock.bench._subjects import each

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Executor

__all__ = ["EXECUTOR_ROWS"]

_CALLS_PER_PASS: Final = 100
_ROUNDS: Final = 5
# Fifty milliseconds each: thirteen rounds of eight, the last one half empty.
_SLEEPS: Final = 100
_US: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Operation:
    """
    One way to get tasks done.

    Args:
        op: Which text of the contenders is in the loop.
        title: What the table calls it.
        burst: A pass is one burst of tasks, not one task after another.
    """

    op: str
    title: str
    burst: bool = False

    @property
    def coroutine(self) -> bool:
        return self.op in {"run", "gather"}


@contextmanager
def _runners(
    operation: _Operation,
    row: Row,
    contenders: Sequence[Contender],
    plan: Plan,
    outcome: Outcome,
    count: int,
) -> Iterator[dict[str, Runner]]:
    """Give what runs the operation for each contender; shut their executors down at the end."""
    runners: dict[str, Runner] = {}
    keys: list[object] = [None] * (1 if operation.burst else _CALLS_PER_PASS)
    with in_loop() as event_loop, ExitStack() as stack:

        def prepare(contender: Contender) -> None:
            subject = prepared(contender, event_loop, seconds=plan.sleep)["c"]
            stack.callback(cast("Executor", subject).shutdown)
            loop = compile_loop(
                contender.ops[operation.op],
                {"WORK": plan.sleep, "COUNT": count},
                bind=contender.bind,
                coroutine=operation.coroutine,
            )
            inner = SyncRunner(loop, subject, keys, plan.clock)
            runner = AsyncRunner(inner, event_loop) if operation.coroutine else inner
            runner(1)  # the workers have started
            runners[contender.name] = runner

        each([c for c in contenders if operation.op in c.ops], row, outcome, prepare)
        yield runners


def _measure(
    operation: _Operation, row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome
) -> None:
    count = plan.capacity if operation.burst else 1
    with _runners(operation, row, contenders, plan, outcome, count) as runners:
        samples = interleave(runners, rounds=plan.rounds, round_ns=plan.round_ns)
    micros = {name: [spent / count / _US for spent in spans] for name, spans in samples.items()}
    table = f"executor: no-ops, {WORKERS} workers"
    title = f"{operation.title} of {count:,}" if operation.burst else operation.title
    # When a worker wakes up is decided by the operating system.
    result = Result(row.name, table, title, "us", micros, digits=1, steady=False)
    outcome.results.append(result)


def _sleep(row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome) -> None:
    operation = _Operation("sleep", "efficiency", burst=True)
    with _runners(operation, row, contenders, plan, outcome, _SLEEPS) as runners:
        rounds = min(plan.rounds, _ROUNDS)
        samples = interleave(runners, rounds=rounds, round_ns=plan.round_ns)
    least = _SLEEPS * plan.sleep * 1e9 / WORKERS
    shares = {name: [least / spent for spent in spans] for name, spans in samples.items()}
    sleeps = f"{_SLEEPS} tasks that sleep {plan.sleep * 1000:g} ms"
    table = f"executor efficiency: {sleeps}, {WORKERS} workers"
    outcome.results.append(Result(row.name, table, "efficiency", "", shares, digits=3))


def _row(name: str, kind: str, summary: str, operation: _Operation) -> Row:
    return Row(f"executor.{name}", kind, summary, partial(_measure, operation))


EXECUTOR_ROWS: Final[tuple[Row, ...]] = (
    _row(
        "submit",
        "executor",
        "submit a no-op and wait for its result, one by one",
        _Operation("submit", "submit + result"),
    ),
    _row(
        "burst",
        "executor",
        "submit as many no-ops as a cache has entries, then take the results; per task",
        _Operation("burst", "burst", burst=True),
    ),
    _row(
        "run",
        "executor",
        "await a no-op that runs in a worker, one by one",
        _Operation("run", "`await run`"),
    ),
    _row(
        "gather",
        "executor",
        "gather as many of these; per task",
        _Operation("gather", "gathered", burst=True),
    ),
    Row("executor.sleep", "executor", "share of the time that 8 workers sleep in tasks", _sleep),
    _row(
        "processes",
        "processes",
        "submit a no-op to two processes and wait for its result, one by one",
        _Operation("submit", "submit + result, 2 processes"),
    ),
)
