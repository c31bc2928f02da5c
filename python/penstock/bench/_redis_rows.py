"""Caches over Redis: what one task takes for a value that is not in memory, and what many get."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache, partial
from typing import TYPE_CHECKING, Final

from penstock.bench._crowds import TASKS, Operation
from penstock.bench._model import Row
from penstock.bench._redis_server import redis_server
from penstock.bench._values import KEYS, of_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.bench._model import Contender, Outcome, Plan

__all__ = ["REDIS_ROWS", "over_redis"]

_TABLES: Final = ("caches over Redis, one task", "caches over Redis, many at once")


def _value(number: int) -> bytes:
    return f"user number {number} ".encode() * 12


def over_redis(
    operation: Operation, row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome
) -> None:
    """Measure an operation of contenders that take the *url* of a Redis server and a *name*."""
    with ExitStack() as stack:

        @cache  # it is started for the first of those who need it
        def url() -> str:
            return stack.enter_context(redis_server()).url

        def given(number: int) -> dict[str, str]:
            return {"url": url(), "name": f"bench{number}"}

        samples = of_values(operation, row, contenders, plan, outcome, _value, given)
    outcome.results.append(operation.result(row, samples, _TABLES, "values/s"))


def _row(name: str, summary: str, operation: Operation) -> Row:
    return Row(f"redis.{name}", "redis", summary, partial(over_redis, operation))


REDIS_ROWS: Final[tuple[Row, ...]] = (
    _row("get", "a value got from Redis by its key, by one task", Operation("get", "get")),
    _row("set", "a value set in Redis, by one task", Operation("set", "set")),
    _row(
        "gets",
        "values got from Redis by their keys, by many tasks at once",
        Operation("get", f"get, {TASKS} tasks", crowd=True),
    ),
    _row(
        "sets",
        "values set in Redis, all at once",
        Operation("sets", f"{KEYS} sets gathered", turns=1, many=KEYS),
    ),
)
