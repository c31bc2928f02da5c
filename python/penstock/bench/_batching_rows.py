"""Batches: what an item costs, how often a loop is woken, and what a database gains by them."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from penstock.bench._engine import AsyncRunner, Runner, SyncRunner, compile_loop, interleave
from penstock.bench._flow_rows import in_loop, prepared
from penstock.bench._model import BenchError, Contender, Outcome, Plan, Result, Row
from penstock.bench._subjects import build, each

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

__all__ = ["BATCHING_ROWS", "CountingLoop", "Sink"]

_THREADS: Final = 4
_BURSTS: Final = 20
_ROUNDS: Final = 5
_US: Final = 1_000
_MS: Final = 1_000_000
_CHECK: Final = "assert found == items, f'{len(found)} of {len(items)} items came back in order'"


@dataclass(frozen=True, slots=True)
class _Operation:
    """
    Something that is done with all items at once.

    Args:
        op: Which text of the contenders is in the loop.
        table: What the table is called; the number of items is put in.
        title: What the column is called.
    """

    op: str
    table: str
    title: str


class CountingLoop(asyncio.SelectorEventLoop):
    """An event loop that counts how often other threads wake it."""

    def __init__(self) -> None:
        super().__init__()
        self.wakeups = 0

    def call_soon_threadsafe(self, callback: object, *args: object, **more: object) -> object:  # type: ignore[override]
        """Count, and do as usual."""
        self.wakeups += 1
        return super().call_soon_threadsafe(callback, *args, **more)  # type: ignore[arg-type]


class Sink:
    """A database in a file, written to by a thread of its own, one transaction for each list."""

    __slots__ = ("_connection", "_executor")

    def __init__(self, path: Path) -> None:
        self._executor = ThreadPoolExecutor(1)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute("CREATE TABLE messages (number INTEGER, text TEXT)")

    def _commit(self, numbers: list[int]) -> list[int]:
        rows = [(number, f"message {number}") for number in numbers]
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:  # commits, or rolls back
            self._connection.executemany("INSERT INTO messages VALUES (?, ?)", rows)
        return numbers

    async def write(self, numbers: list[int]) -> list[int]:
        """Commit some messages, and return them."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._commit, numbers)

    def count(self) -> int:
        """Return how many there are."""
        (found,) = self._connection.execute("SELECT count(*) FROM messages").fetchone()
        return cast("int", found)

    def close(self) -> None:
        """End the thread, and close the file."""
        self._executor.shutdown()
        self._connection.close()


async def _handle(items: list[int]) -> list[int]:
    return items


@contextmanager
def _in_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Give an event loop; what still runs in it at the end is cancelled."""
    with in_loop() as event_loop:
        try:
            yield event_loop
        finally:
            tasks = asyncio.all_tasks(event_loop)
            for task in tasks:
                task.cancel()
            if tasks:
                event_loop.run_until_complete(asyncio.wait(tasks))


def _runner(
    operation: _Operation,
    contender: Contender,
    event_loop: asyncio.AbstractEventLoop,
    plan: Plan,
    **given: object,
) -> Runner:
    """Compile the loop of a contender that does all in one step, and run it once."""
    items = list(range(plan.gathered))
    made = prepared(contender, event_loop, seconds=0, items=items, handle=_handle, **given)
    body = f"{contender.ops[operation.op]}\n{_CHECK}"
    loop = compile_loop(
        body, {"gather": asyncio.gather, "items": items}, bind=contender.bind, coroutine=True
    )
    runner = AsyncRunner(SyncRunner(loop, made["c"], [None], plan.clock), event_loop)
    runner(1)
    return runner


def _gather(
    operation: _Operation, row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome
) -> None:
    runners: dict[str, Runner] = {}
    with _in_loop() as event_loop:

        def prepare(contender: Contender) -> None:
            runners[contender.name] = _runner(operation, contender, event_loop, plan)

        each(contenders, row, outcome, prepare)
        samples = interleave(runners, rounds=plan.rounds, round_ns=plan.round_ns)
    per_item = _US * plan.gathered
    micros = {name: [spent / per_item for spent in spans] for name, spans in samples.items()}
    table = operation.table.format(plan.gathered)
    outcome.results.append(Result(row.name, table, operation.title, "us", micros))


def _put(row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome) -> None:
    runners: dict[str, Runner] = {}
    clear: list[Runner] = []
    items: list[object] = list(range(plan.gathered))
    with _in_loop() as event_loop:

        def prepare(contender: Contender) -> None:
            made = prepared(contender, event_loop, seconds=0, items=items, handle=_handle)

            def runner(body: str, items: list[object]) -> Runner:
                loop = compile_loop(
                    body,
                    {},
                    target="item",
                    bind=contender.bind,
                    reset=contender.ops["clear"],
                    coroutine=True,
                )
                return AsyncRunner(SyncRunner(loop, made["c"], items, plan.clock), event_loop)

            runners[contender.name] = runner(contender.ops["put"], items)
            runners[contender.name](1)
            clear.append(runner("pass", []))

        each(contenders, row, outcome, prepare)
        samples = interleave(runners, rounds=plan.rounds, round_ns=plan.round_ns)
        for clear_one in clear:
            clear_one(1)
    table = f"batching put: {plan.gathered:,} items put, nobody waits for a result"
    outcome.results.append(Result(row.name, table, "put", "ns", samples))


def _burst(put: Callable[[int], object], count: int) -> None:
    """Put items in several threads, while the loop has something else to do."""
    gate = threading.Barrier(_THREADS)

    def work() -> None:
        gate.wait()
        for number in range(count):
            put(number)

    threads = [threading.Thread(target=work) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


async def _wakeups(contender: Contender, count: int) -> list[float]:
    seen: list[int] = []

    async def handle(items: list[int]) -> list[int]:
        seen.extend(items)
        return items

    source = f"import asyncio\n{contender.make}"
    contender = Contender(contender.name, contender.kinds, source, backend=contender.backend)
    made = build(contender, items=range(count * _THREADS), handle=handle)
    put = cast("Callable[[int], object]", made["put"])
    end = cast("Callable[[], Awaitable[object]]", made["end"])
    loop = cast("CountingLoop", asyncio.get_running_loop())
    await end()  # it knows its loop
    found: list[float] = []
    for _ in range(_BURSTS):
        seen.clear()
        loop.wakeups = 0
        _burst(put, count)
        found.append(float(loop.wakeups))
        await end()
        if sorted(seen) != sorted(list(range(count)) * _THREADS):
            msg = f"{len(seen)} of {count * _THREADS} items were handled"
            raise BenchError(msg)
    return found


def _measure_wakeups(
    row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome
) -> None:
    samples: dict[str, list[float]] = {}
    count = max(1, plan.gathered // _THREADS)

    def measure(contender: Contender) -> None:
        with asyncio.Runner(loop_factory=CountingLoop) as runner:
            samples[contender.name] = runner.run(_wakeups(contender, count))

    each(contenders, row, outcome, measure)
    table = f"batching bursts: {count * _THREADS:,} items from {_THREADS} threads"
    result = Result(row.name, table, "wake-ups of the loop", "", samples, digits=0)
    outcome.results.append(result)


def _send(
    operation: _Operation, row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome
) -> None:
    runners: dict[str, Runner] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        event_loop = stack.enter_context(_in_loop())
        sinks: dict[str, Sink] = {}

        def prepare(contender: Contender) -> None:
            sink = Sink(folder / f"{len(sinks)}.db")
            stack.callback(sink.close)
            sinks[contender.name] = sink
            runners[contender.name] = _runner(
                operation, contender, event_loop, plan, write=sink.write
            )

        each(contenders, row, outcome, prepare)
        rounds = min(plan.rounds, _ROUNDS)
        samples = interleave(runners, rounds=rounds, round_ns=plan.round_ns)
        for name in runners:
            if sinks[name].count() % plan.gathered:
                msg = f"{name} did not write every message once"
                raise BenchError(msg)
    whole = {name: [spent / _MS for spent in spans] for name, spans in samples.items()}
    table = operation.table.format(plan.gathered)
    # A disk is never quiet.
    result = Result(row.name, table, operation.title, "ms", whole, digits=1, steady=False)
    outcome.results.append(result)


_GATHERED: Final = "batching gathered: {:,} items handed in at once, per item"
_SENT: Final = "batching into SQLite: {:,} messages, each awaited"

BATCHING_ROWS: Final[tuple[Row, ...]] = (
    Row(
        "batching.submit",
        "batcher",
        "submit gathered, a handler that returns what it is given; per item",
        partial(_gather, _Operation("gather", _GATHERED, "submit")),
    ),
    Row(
        "batching.load",
        "loader",
        "load gathered, different keys, a new loader each time; per key",
        partial(_gather, _Operation("load", _GATHERED, "load")),
    ),
    Row("batching.put", "queue", "put_nowait, with nobody waiting for a result", _put),
    Row(
        "batching.wakeups",
        "burst",
        "how often a busy loop is woken by a burst of items from four threads",
        _measure_wakeups,
    ),
    Row(
        "batching.sqlite",
        "sink",
        "messages into a SQLite database, with and without batches",
        partial(_send, _Operation("send", _SENT, "all")),
    ),
)
