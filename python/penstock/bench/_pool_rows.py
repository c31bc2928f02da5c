"""Pools: what a connection costs that is there, and what comes through those to a server."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Final

from penstock.bench._crowds import TASKS, Operation, contest
from penstock.bench._model import Row
from penstock.bench._pool_servers import BODY, has_redis, redis, web

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from penstock.bench._engine import Runner
    from penstock.bench._model import Contender, Outcome, Plan

    #: What gives the URL of what a pool is connected to.
    Server = Callable[[], AbstractContextManager[str]]

__all__ = ["POOL_ROWS"]

_CALLS: Final = 1000
_TABLES: Final = ("pools, one task", f"pools, {TASKS} tasks")
_CHECK: Final = "\nassert found == body, f'{found!r} was read'"


def _nothing() -> AbstractContextManager[str]:
    return nullcontext("")


def _measure(
    operation: Operation,
    server: Server,
    row: Row,
    contenders: Sequence[Contender],
    plan: Plan,
    outcome: Outcome,
) -> None:
    if server is redis and not has_redis():
        outcome.skipped["redis-server"] = "redis-server is not installed"
        return
    steady = server is _nothing
    with server() as url, contest(plan) as those:

        def prepare(contender: Contender) -> Runner:
            text = contender.ops[operation.op] + ("" if steady else _CHECK)
            started = those.start(contender, url=url)
            return started.runner(operation, text, {"url": url, "body": BODY})

        samples = those.measure(operation, row, contenders, outcome, prepare)
    result = operation.result(row, samples, _TABLES, "/s", digits=2, steady=steady)
    outcome.results.append(result)


def _row(
    name: str, kind: str, summary: str, operation: Operation, server: Server = _nothing
) -> Row:
    return Row(f"pool.{name}", kind, summary, partial(_measure, operation, server))


POOL_ROWS: Final[tuple[Row, ...]] = (
    _row(
        "use",
        "pool",
        "a connection that is there, acquired and given back",
        Operation("use", "acquire, release", turns=_CALLS),
    ),
    _row(
        "turn",
        "pool",
        "connections that more tasks want than there are",
        Operation("turn", "acquire, others run, release", crowd=True),
    ),
    _row(
        "redis",
        "redis-pool",
        "a GET over a pool of connections to Redis, by many tasks at once",
        Operation("get", "Redis GET", crowd=True),
        redis,
    ),
    _row(
        "http",
        "http",
        "a GET over HTTP to a local server, by one task",
        Operation("get", "HTTP GET"),
        web,
    ),
    _row(
        "http-crowd",
        "http",
        "GETs over HTTP to a local server, by many tasks at once",
        Operation("get", "HTTP GET", crowd=True),
        web,
    ),
)
