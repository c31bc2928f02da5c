"""Caches over Redis: what one task takes for a value that is not in memory, and what many get."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final, cast

from penstock.bench._engine import AsyncRunner, Runner, SyncRunner, compile_loop, interleave
from penstock.bench._flow_rows import CrowdRunner, in_loop, prepared
from penstock.bench._model import BenchError, Contender, Outcome, Plan, Result, Row
from penstock.bench._subjects import MissingError, each

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Coroutine, Iterator, Sequence

__all__ = ["REDIS_ROWS"]

_TASKS: Final = 50
_TURNS: Final = 20
_KEYS: Final = _TASKS * _TURNS
_ROUNDS: Final = 15
_US: Final = 1e3
_NS: Final = 1e9
#: Seconds that a server may take to start.
_PATIENCE: Final = 20.0
#: Each task has keys of its own: what many ask for at once would be read once.
_BIND: Final = f"\nat = next(turn) * {_TURNS} % {_KEYS}"
_BODIES: Final = {
    "get": "key = keys_of[at + k]\n{}\nassert found == values[at + k], f'{{found!r}} was read'",
    "set": "key, value = keys_of[at + k], values[at + k]\n{}",
    "sets": "{}",
}


@dataclass(frozen=True, slots=True)
class _Operation:
    """
    One way to use a cache over Redis.

    Args:
        op: Which text of the contenders is in the loop.
        title: What the table calls it.
        crowd: Whether many tasks do it at once.
        many: How many values one turn of the loop is about.
    """

    op: str
    title: str
    crowd: bool = False
    many: int = 1


@contextmanager
def _server(folder: str) -> Iterator[str]:
    """
    Run a Redis server that keeps nothing, and give its URL.

    Raises:
        MissingError: There is no redis-server.
        BenchError: It does not start.
    """
    program = shutil.which("redis-server")
    if program is None:
        msg = "there is no redis-server"
        raise MissingError(msg)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
    with subprocess.Popen([program, *options], stdout=subprocess.DEVNULL) as process:
        try:
            _wait_for(port, process)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.kill()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as line:
            line.sendall(b"PING\r\n")
            if line.recv(100).startswith(b"+PONG"):
                return
        time.sleep(0.01)
    msg = "redis-server does not start"
    raise BenchError(msg)


def _value(number: int) -> bytes:
    return f"user number {number} ".encode() * 12


def _loop_of(contender: Contender, op: str, subject: object, plan: Plan) -> SyncRunner:
    """Return the loop in which values are got and looked at, or set."""
    keys = [f"user:{number}" for number in range(_KEYS)]
    values = [_value(number) for number in range(_KEYS)]
    names: dict[str, object] = {
        "turn": count(),
        "keys_of": keys,
        "values": values,
        "items": list(zip(keys, values, strict=True)),
        "gather": asyncio.gather,
    }
    body = _BODIES[op].format(contender.ops[op])
    loop = compile_loop(body, names, bind=contender.bind + _BIND, coroutine=True)
    turns = [0] if op == "sets" else list(range(_TURNS))
    return SyncRunner(loop, subject, turns, plan.clock)


def _start(
    operation: _Operation,
    contender: Contender,
    event_loop: AbstractEventLoop,
    stack: ExitStack,
    plan: Plan,
    **given: object,
) -> tuple[Runner, Callable[[], object]]:
    """Make a cache that has all values, the loop that uses it, and what looks at it afterwards."""
    made = prepared(contender, event_loop, seconds=0, **given)
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
        servers = stack.enter_context(ExitStack())
        urls: list[str] = []
        numbers = count()

        def prepare(contender: Contender) -> None:
            if not urls:
                urls.append(servers.enter_context(_server(folder)))
            given = {"url": urls[0], "name": f"bench{next(numbers)}"}
            runner, look = _start(operation, contender, event_loop, stack, plan, **given)
            look()
            runner(1)
            looks.append(look)
            runners[contender.name] = runner

        each([c for c in contenders if operation.op in c.ops], row, outcome, prepare)
        samples = interleave(runners, rounds=min(plan.rounds, _ROUNDS), round_ns=plan.round_ns)
        for look in looks:
            look()
    if operation.crowd or operation.many > 1:
        values = operation.many * _NS
        figures = {name: [values / spent for spent in spans] for name, spans in samples.items()}
        table, unit, digits = "caches over Redis, many at once", "values/s", 0
    else:
        figures = {name: [spent / _US for spent in spans] for name, spans in samples.items()}
        table, unit, digits = "caches over Redis, one task", "us", 1
    # When the server's process wakes up is decided by the operating system.
    result = Result(row.name, table, operation.title, unit, figures, digits=digits, steady=False)
    outcome.results.append(result)


def _row(name: str, summary: str, operation: _Operation) -> Row:
    return Row(f"redis.{name}", "redis", summary, partial(_measure, operation))


REDIS_ROWS: Final[tuple[Row, ...]] = (
    _row("get", "a value got from Redis by its key, by one task", _Operation("get", "get")),
    _row("set", "a value set in Redis, by one task", _Operation("set", "set")),
    _row(
        "gets",
        "values got from Redis by their keys, by many tasks at once",
        _Operation("get", f"get, {_TASKS} tasks", crowd=True),
    ),
    _row(
        "sets",
        "values set in Redis, all at once",
        _Operation("sets", f"{_KEYS} sets gathered", many=_KEYS),
    ),
)
