"""Pools: what a connection costs that is there, and what comes through those to a server."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from penstock.bench._engine import AsyncRunner, Runner, SyncRunner, compile_loop, interleave
from penstock.bench._flow_rows import CrowdRunner, in_loop, prepared
from penstock.bench._model import Contender, Outcome, Plan, Result, Row
from penstock.bench._pool_servers import BODY, has_redis, redis, web
from penstock.bench._subjects import each

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Coroutine, Sequence
    from contextlib import AbstractContextManager

__all__ = ["POOL_ROWS"]

_TASKS: Final = 50
_TURNS: Final = 20
_CALLS: Final = 1000
_ROUNDS: Final = 15
_NS: Final = 1e9
_US: Final = 1e3
_CHECK: Final = "\nassert found == body, f'{found!r} was read'"


@dataclass(frozen=True, slots=True)
class _Operation:
    """
    One way to use a pool.

    Args:
        op: Which text of the contenders is in the loop.
        title: What the table calls it.
        crowd: Whether many tasks do it at once.
        server: What it is connected to.
    """

    op: str
    title: str
    crowd: bool = False
    server: Callable[[], AbstractContextManager[str]] | None = None

    @property
    def calls(self) -> int:
        return _TURNS if self.crowd or self.server is not None else _CALLS


def _start(
    operation: _Operation,
    contender: Contender,
    event_loop: AbstractEventLoop,
    stack: ExitStack,
    url: str,
    plan: Plan,
) -> Runner:
    """Make a pool for a contender, and the loop that uses it."""
    made = prepared(contender, event_loop, seconds=0, url=url)
    start = cast("Callable[[], Coroutine[None, None, object]]", made["start"])
    end = cast("Callable[[], Coroutine[None, None, object]]", made["end"])
    subject = event_loop.run_until_complete(start())
    stack.callback(lambda: event_loop.run_until_complete(end()))
    text = contender.ops[operation.op]
    loop = compile_loop(
        text if operation.server is None else text + _CHECK,
        {"url": url, "body": BODY},
        bind=contender.bind,
        coroutine=True,
    )
    inner = SyncRunner(loop, subject, list(range(operation.calls)), plan.clock)
    if operation.crowd:
        return CrowdRunner(inner, event_loop, _TASKS, plan)
    return AsyncRunner(inner, event_loop)


def _measure(
    operation: _Operation, row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome
) -> None:
    if operation.server is redis and not has_redis():
        outcome.skipped["redis-server"] = "redis-server is not installed"
        return
    runners: dict[str, Runner] = {}
    with ExitStack() as servers, in_loop() as event_loop, ExitStack() as stack:
        url = "" if operation.server is None else servers.enter_context(operation.server())

        def prepare(contender: Contender) -> None:
            runner = _start(operation, contender, event_loop, stack, url, plan)
            runner(1)
            runners[contender.name] = runner

        each([c for c in contenders if operation.op in c.ops], row, outcome, prepare)
        samples = interleave(runners, rounds=min(plan.rounds, _ROUNDS), round_ns=plan.round_ns)
    steady = operation.server is None
    if operation.crowd:
        figures = {name: [_NS / spent for spent in spans] for name, spans in samples.items()}
        table, unit, digits = f"pools, {_TASKS} tasks", "/s", 0
    else:
        figures = {name: [spent / _US for spent in spans] for name, spans in samples.items()}
        table, unit, digits = "pools, one task", "us", 2
    result = Result(row.name, table, operation.title, unit, figures, digits=digits, steady=steady)
    outcome.results.append(result)


def _row(name: str, kind: str, summary: str, operation: _Operation) -> Row:
    return Row(name, kind, summary, partial(_measure, operation))


POOL_ROWS: Final[tuple[Row, ...]] = (
    _row(
        "pool.use",
        "pool",
        "a connection that is there, acquired and given back",
        _Operation("use", "acquire, release"),
    ),
    _row(
        "pool.turn",
        "pool",
        "connections that more tasks want than there are",
        _Operation("turn", "acquire, others run, release", crowd=True),
    ),
    _row(
        "pool.redis",
        "redis-pool",
        "a GET over a pool of connections to Redis, by many tasks at once",
        _Operation("get", "Redis GET", crowd=True, server=redis),
    ),
    _row(
        "pool.http",
        "http",
        "a GET over HTTP to a local server, by one task",
        _Operation("get", "HTTP GET", server=web),
    ),
    _row(
        "pool.http-crowd",
        "http",
        "GETs over HTTP to a local server, by many tasks at once",
        _Operation("get", "HTTP GET", crowd=True, server=web),
    ),
)
