"""Stores in a file: what one task takes for a value, and how many values many tasks get or set."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from penstock.bench._engine import AsyncRunner, Runner, SyncRunner, compile_loop, interleave
from penstock.bench._flow_rows import CrowdRunner, in_loop, prepared
from penstock.bench._model import Contender, Outcome, Plan, Result, Row
from penstock.bench._subjects import each

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Coroutine, Sequence

__all__ = ["STORES_ROWS"]

_TASKS: Final = 50
_TURNS: Final = 20
_KEYS: Final = _TASKS * _TURNS
_ROUNDS: Final = 15
_US: Final = 1e3
_NS: Final = 1e9
#: Each task has keys of its own: what many ask for at once would be read once.
_BIND: Final = f"\nat = next(turn) * {_TURNS} % {_KEYS}"
_GET: Final = "key = keys_of[at + k]\n{}\nassert found == values[at + k], f'{{found!r}} was read'"
_SET: Final = "key, value = keys_of[at + k], values[at + k]\n{}"


@dataclass(frozen=True, slots=True)
class _Operation:
    """
    One way to use a store.

    Args:
        op: ``"get"`` or ``"set"``.
        crowd: Whether many tasks do it at once.
    """

    op: str
    crowd: bool = False


def _value(number: int) -> dict[str, object]:
    return {"id": number, "name": f"user number {number}", "groups": ["a", "b"], "score": 0.5}


def _loop_of(contender: Contender, op: str, subject: object, plan: Plan) -> SyncRunner:
    """Return the loop in which each value is got and looked at, or set."""
    names: dict[str, object] = {
        "turn": count(),
        "keys_of": [f"user:{number}" for number in range(_KEYS)],
        "values": [_value(number) for number in range(_KEYS)],
    }
    body = (_GET if op == "get" else _SET).format(contender.ops[op])
    loop = compile_loop(body, names, bind=contender.bind + _BIND, coroutine=True)
    return SyncRunner(loop, subject, list(range(_TURNS)), plan.clock)


def _start(
    operation: _Operation,
    contender: Contender,
    event_loop: AbstractEventLoop,
    stack: ExitStack,
    path: Path,
    plan: Plan,
) -> tuple[Runner, Callable[[], object]]:
    """Make a store that has all values, the loop that uses it, and what looks at it afterwards."""
    made = prepared(contender, event_loop, seconds=0, path=str(path))
    start = cast("Callable[[], Coroutine[None, None, object]]", made["start"])
    end = cast("Callable[[], Coroutine[None, None, object]]", made["end"])
    subject = event_loop.run_until_complete(start())
    stack.callback(lambda: event_loop.run_until_complete(end()))
    fill, look, inner = (
        _loop_of(contender, op, subject, plan) for op in ("set", "get", operation.op)
    )
    CrowdRunner(fill, event_loop, _TASKS, plan)(1)
    look_at_all = CrowdRunner(look, event_loop, _TASKS, plan)
    if operation.crowd:
        return CrowdRunner(inner, event_loop, _TASKS, plan), partial(look_at_all, 1)
    return AsyncRunner(inner, event_loop), partial(look_at_all, 1)


def _measure(
    operation: _Operation, row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome
) -> None:
    runners: dict[str, Runner] = {}
    looks: list[Callable[[], object]] = []
    with tempfile.TemporaryDirectory() as folder, in_loop() as event_loop, ExitStack() as stack:

        def prepare(contender: Contender) -> None:
            path = Path(folder) / f"{len(looks)}.store"
            runner, look = _start(operation, contender, event_loop, stack, path, plan)
            looks.append(look)
            look()
            runner(1)
            runners[contender.name] = runner

        each([c for c in contenders if operation.op in c.ops], row, outcome, prepare)
        samples = interleave(runners, rounds=min(plan.rounds, _ROUNDS), round_ns=plan.round_ns)
        for look in looks:
            look()
    if operation.crowd:
        figures = {name: [_NS / spent for spent in spans] for name, spans in samples.items()}
        table, unit, digits = f"stores in a file, {_TASKS} tasks", "values/s", 0
    else:
        figures = {name: [spent / _US for spent in spans] for name, spans in samples.items()}
        table, unit, digits = "stores in a file, one task", "us", 1
    # When a thread wakes up is decided by the operating system, and a disk is never quiet.
    result = Result(row.name, table, operation.op, unit, figures, digits=digits, steady=False)
    outcome.results.append(result)


def _row(name: str, summary: str, operation: _Operation) -> Row:
    return Row(f"stores.{name}", "stores", summary, partial(_measure, operation))


STORES_ROWS: Final[tuple[Row, ...]] = (
    _row("get", "a value got by its key, by one task", _Operation("get")),
    _row("set", "a value set, which is committed, by one task", _Operation("set")),
    _row("gets", "values got by their keys, by many tasks at once", _Operation("get", crowd=True)),
    _row(
        "sets",
        "values set, each committed when its task goes on, by many tasks at once",
        _Operation("set", crowd=True),
    ),
)
