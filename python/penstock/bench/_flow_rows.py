"""Limits, retries and circuit breakers where nothing is wrong: what every call pays for them."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from penstock.bench._engine import AsyncRunner, Runner, SyncRunner, compile_loop, interleave
from penstock.bench._flow_contenders import BARE, CROWD, NO_OPS
from penstock.bench._model import Contender, Outcome, Plan, Result, Row
from penstock.bench._subjects import build, each

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Sequence

__all__ = ["FLOW_ROWS", "CrowdRunner", "in_loop", "prepared"]

_CALLS_PER_PASS: Final = 1_000
_TURNS: Final = 10
_TASKS: Final = 10 * CROWD
_ROUNDS: Final = 5
_MS: Final = 1_000_000
# How long an item of a map takes.
_SECONDS: Final = 0.001


@dataclass(frozen=True, slots=True)
class _Operation:
    op: str
    table: str
    title: str
    above: bool = False

    @property
    def coroutine(self) -> bool:
        return self.op not in {"with", "call"}


class CrowdRunner:
    """Runs a compiled coroutine loop in many tasks at once; the time from first to last."""

    __slots__ = ("_clock", "_event_loop", "_inner", "_tasks")

    def __init__(
        self, inner: SyncRunner, event_loop: asyncio.AbstractEventLoop, tasks: int, plan: Plan
    ) -> None:
        self._inner = inner
        self._event_loop = event_loop
        self._tasks = tasks
        self._clock = plan.clock

    @property
    def operations(self) -> int:
        """How many operations one pass of all tasks has."""
        return self._inner.operations * self._tasks

    def __call__(self, passes: int) -> int:
        """Run *passes* passes in each task; return the nanoseconds."""
        return self._event_loop.run_until_complete(self._crowd(passes))

    async def _crowd(self, passes: int) -> int:
        begin = self._clock()
        async with asyncio.TaskGroup() as group:
            for _ in range(self._tasks):
                group.create_task(cast("Coroutine[None, None, int]", self._inner.start(passes)))
        return self._clock() - begin


@contextmanager
def in_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Give an event loop, closed at the end; it is the current one for what asks for that."""
    event_loop = asyncio.new_event_loop()
    asyncio.set_event_loop(event_loop)
    try:
        yield event_loop
    finally:
        event_loop.run_until_complete(event_loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        event_loop.close()


def prepared(
    contender: Contender, event_loop: asyncio.AbstractEventLoop, **given: object
) -> dict[str, object]:
    """Build *contender*, its subject ``c``, on *event_loop*: some look at which one it is."""
    with_no_ops = Contender(
        contender.name,
        contender.kinds,
        f"{NO_OPS}\n{contender.make}",
        needs=contender.needs,
        backend=contender.backend,
    )

    async def make() -> dict[str, object]:
        return build(with_no_ops, **given)

    return event_loop.run_until_complete(make())


def _measure(
    operation: _Operation, row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome
) -> None:
    keys: list[object] = list(range(_TURNS if operation.op == "turn" else _CALLS_PER_PASS))
    runners: dict[str, Runner] = {}
    bare = [BARE] if operation.above else []
    with in_loop() as event_loop:

        def prepare(contender: Contender) -> None:
            subject = prepared(contender, event_loop, seconds=0)["c"]
            loop = compile_loop(
                contender.ops[operation.op],
                {"sleep": asyncio.sleep},
                bind=contender.bind,
                coroutine=operation.coroutine,
            )
            inner = SyncRunner(loop, subject, keys, plan.clock)
            runner: Runner = inner
            if operation.op == "turn":
                runner = CrowdRunner(inner, event_loop, _TASKS, plan)
            elif operation.coroutine:
                runner = AsyncRunner(inner, event_loop)
            runner(1)
            runners[contender.name] = runner

        each([c for c in [*bare, *contenders] if operation.op in c.ops], row, outcome, prepare)
        samples = interleave(runners, rounds=plan.rounds, round_ns=plan.round_ns)
    if operation.above:
        samples = _above(samples)
    outcome.results.append(
        Result(
            row.name,
            operation.table,
            operation.title,
            "ns",
            samples,
            steady=not operation.above,
        )
    )


def _above(samples: dict[str, list[float]]) -> dict[str, list[float]]:
    """Take the bare call off, round by round."""
    bare = samples.get(BARE.name, [])
    return {
        name: [spent - least for spent, least in zip(spans, bare, strict=True)]
        for name, spans in samples.items()
        if bare and name != BARE.name
    }


def _map(row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome) -> None:
    runners: dict[str, Runner] = {}
    items = list(range(plan.items))
    check = "assert found == items, f'{len(found)} of {len(items)} items came back in order'"
    with in_loop() as event_loop:

        def prepare(contender: Contender) -> None:
            made = prepared(contender, event_loop, seconds=_SECONDS, items=items)
            body = f"{contender.ops['map']}\n{check}"
            loop = compile_loop(body, made, bind=contender.bind, coroutine=True)
            runner = AsyncRunner(SyncRunner(loop, made["c"], [None], plan.clock), event_loop)
            runner(1)
            runners[contender.name] = runner

        each(contenders, row, outcome, prepare)
        rounds = min(plan.rounds, _ROUNDS)
        samples = interleave(runners, rounds=rounds, round_ns=plan.round_ns)
    whole = {name: [spent / _MS for spent in spans] for name, spans in samples.items()}
    table = f"map: {plan.items} items of 1 ms, 100 at once"
    outcome.results.append(Result(row.name, table, "all", "ms", whole, digits=1))


def _row(name: str, kind: str, summary: str, operation: _Operation) -> Row:
    return Row(f"flow.{name}", kind, summary, partial(_measure, operation))


_FREE: Final = "limits: nobody waits"
_CROWDED: Final = f"limits handed over: {_TASKS} tasks, {CROWD} at once"
_RETRY: Final = "retry: first try succeeds"
_CLOSED: Final = "circuit breaker: closed, above the bare call"

FLOW_ROWS: Final[tuple[Row, ...]] = (
    _row(
        "enter",
        "limiter",
        "async with a limiter that has permits",
        _Operation("enter", _FREE, "`async with`"),
    ),
    _row(
        "with",
        "limiter",
        "the same in threads: with",
        _Operation("with", _FREE, "`with`"),
    ),
    _row(
        "turn",
        "limiter",
        "async with a limiter that most have to wait for, a block that yields once",
        _Operation("turn", _CROWDED, "block with `sleep(0)`"),
    ),
    _row(
        "retry",
        "retry",
        "await of a coroutine function that is retried, and succeeds",
        _Operation("await", _RETRY, "await f()"),
    ),
    _row(
        "retry-sync",
        "retry",
        "the same with a function",
        _Operation("call", _RETRY, "g()"),
    ),
    _row(
        "breaker",
        "breaker",
        "a call through a closed circuit breaker, above the bare call",
        _Operation("call", _CLOSED, "g()", above=True),
    ),
    _row(
        "breaker-async",
        "breaker",
        "the same with a coroutine function",
        _Operation("await", _CLOSED, "await f()", above=True),
    ),
    Row("flow.map", "map", "items mapped by a coroutine function that sleeps", _map),
)
