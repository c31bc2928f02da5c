"""Files: what many writes of one cost, and what it costs to know that one has not changed."""

from __future__ import annotations

import json
import os
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast

from penstock.bench._engine import AsyncRunner, Runner, SyncRunner, compile_loop, interleave
from penstock.bench._flow_rows import in_loop, prepared
from penstock.bench._model import BenchError, Contender, Outcome, Plan, Result, Row
from penstock.bench._subjects import each

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence

__all__ = ["FILES_ROWS"]

_BYTES: Final = 10_240
_FILES: Final = 100
_PASSES: Final = 50
_ROUNDS: Final = 5
_GETS_PER_PASS: Final = 100
_US: Final = 1_000
_MS: Final = 1_000_000


class _Stats(Protocol):
    hit_ratio: float


class _Cache(Protocol):
    """What the row that counts hits needs of a contender."""

    def get(self, path: str) -> Awaitable[dict[str, object]]:
        """Return what a file says."""
        ...

    def stats(self) -> _Stats:
        """Return the figures of now."""
        ...


class _Rounds:
    """A hundred files, of which one has changed in each pass."""

    def __init__(self, cache: _Cache, paths: list[str], passes: int) -> None:
        self._cache = cache
        self._paths = paths
        self._passes = passes

    async def hit_ratio(self) -> float:
        """Get all of them in each pass; raise if one does not say what was written there last."""
        numbers = dict.fromkeys(self._paths, 0)
        for path in self._paths:
            _save(path, 0)
        for turn in range(self._passes):
            if turn:
                changed = self._paths[turn % len(self._paths)]
                numbers[changed] = turn
                _save(changed, turn)
            for path, number in numbers.items():
                document = await self._cache.get(path)
                if document["number"] != number:
                    msg = f"version {document['number']} of a file instead of {number}"
                    raise BenchError(msg)
        return self._cache.stats().hit_ratio


def _save(path: str, number: int) -> None:
    """Replace a file by one of 10 KB that seems to be older than its reader's clock can tell."""
    document = {"number": number, "users": [], "filler": ""}
    users = [{"id": n, "name": f"user {n}", "score": n * 1.5, "tags": ["a"]} for n in range(150)]
    document["users"] = users
    document["filler"] = "x" * (_BYTES - len(json.dumps(document)))
    temporary = f"{path}.new"
    Path(temporary).write_text(json.dumps(document))
    then = time.time_ns() - 1_000_000_000_000 + number * 1_000_000 + 1
    os.utime(temporary, ns=(then, then))
    os.replace(temporary, path)


@contextmanager
def _place() -> Iterator[tuple[str, AbstractEventLoop, ExitStack]]:
    """Give a folder, an event loop, and a stack for what has to be closed in it."""
    with tempfile.TemporaryDirectory() as folder, in_loop() as event_loop, ExitStack() as stack:
        yield folder, event_loop, stack


def _close(subject: object, event_loop: AbstractEventLoop) -> None:
    aclose = getattr(subject, "aclose", None)
    if aclose is not None:
        event_loop.run_until_complete(cast("Callable[[], Coroutine[None, None, None]]", aclose)())


def _items(plan: Plan) -> list[bytes]:
    return [(b"%d " % number).ljust(_BYTES, b"x") for number in range(plan.gathered)]


def _writer(
    contender: Contender,
    event_loop: AbstractEventLoop,
    stack: ExitStack,
    plan: Plan,
    path: str,
) -> Runner:
    """Return what does all writes in one pass; it has done so once."""
    items = _items(plan)
    subject = prepared(contender, event_loop, seconds=0)["c"]
    stack.callback(_close, subject, event_loop)
    loop = compile_loop(
        contender.ops["write"], {"items": items, "path": path}, bind=contender.bind, coroutine=True
    )
    runner = AsyncRunner(SyncRunner(loop, subject, [None], plan.clock), event_loop)
    runner(1)
    if Path(path).read_bytes() != items[-1]:
        msg = "the last write is not what the file says"
        raise BenchError(msg)
    return runner


def _write(row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome) -> None:
    runners: dict[str, Runner] = {}
    with _place() as (folder, event_loop, stack):

        def prepare(contender: Contender) -> None:
            path = f"{folder}/{len(runners)}"
            runners[contender.name] = _writer(contender, event_loop, stack, plan, path)

        each(contenders, row, outcome, prepare)
        rounds = min(plan.rounds, _ROUNDS)
        samples = interleave(runners, rounds=rounds, round_ns=plan.round_ns)
    whole = {name: [spent / _MS for spent in spans] for name, spans in samples.items()}
    table = f"file writes: {plan.gathered:,} of 10 KB to one file"
    # A disk is never quiet.
    outcome.results.append(Result(row.name, table, "all", "ms", whole, digits=2, steady=False))


def _touched(row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome) -> None:
    samples: dict[str, list[float]] = {}
    original = os.replace

    def measure(contender: Contender) -> None:
        seen: list[str] = []

        def replace(source: str, target: str) -> None:
            seen.append(target)
            original(source, target)

        with _place() as (folder, event_loop, stack):
            runner = _writer(contender, event_loop, stack, plan, f"{folder}/a")
            os.replace = replace  # type: ignore[assignment]
            try:
                found: list[float] = []
                for _ in range(_ROUNDS):
                    seen.clear()
                    runner(1)
                    found.append(float(len(seen)))
            finally:
                os.replace = original
        samples[contender.name] = found

    # Of the others it is in the loop how often they do it.
    each([c for c in contenders if c.backend is not None], row, outcome, measure)
    table = f"file replacements: {plan.gathered:,} writes to one file within a window"
    title = "replacements on the disk"
    outcome.results.append(Result(row.name, table, title, "", samples, digits=0))


def _read(
    row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome, count: int
) -> None:
    runners: dict[str, Runner] = {}
    with _place() as (folder, event_loop, _):
        paths = [f"{folder}/{number}.json" for number in range(count)]
        for path in paths:
            _save(path, 0)
        keys: list[object] = [paths[n % count] for n in range(max(count, _GETS_PER_PASS))]

        def prepare(contender: Contender) -> None:
            subject = prepared(contender, event_loop, seconds=0)["c"]
            loop = compile_loop(contender.ops["get"], {}, bind=contender.bind, coroutine=True)
            runner = AsyncRunner(SyncRunner(loop, subject, keys, plan.clock), event_loop)
            runner(1)
            runners[contender.name] = runner

        each(contenders, row, outcome, prepare)
        samples = interleave(runners, rounds=plan.rounds, round_ns=plan.round_ns)
    micros = {name: [spent / _US for spent in spans] for name, spans in samples.items()}
    title = "one file" if count == 1 else f"{count} files"
    table = "file cache: what a JSON file of 10 KB says that did not change"
    outcome.results.append(Result(row.name, table, title, "us", micros))


def _get(row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome) -> None:
    _read(row, contenders, plan, outcome, 1)


def _many(row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome) -> None:
    _read(row, contenders, plan, outcome, _FILES)


def _ratio(row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome) -> None:
    samples: dict[str, list[float]] = {}

    def measure(contender: Contender) -> None:
        with _place() as (folder, event_loop, _):
            made = prepared(contender, event_loop, seconds=0)
            paths = [f"{folder}/{number}.json" for number in range(_FILES)]
            rounds = _Rounds(cast("_Cache", made["c"]), paths, min(_PASSES, plan.capacity))
            samples[contender.name] = [event_loop.run_until_complete(rounds.hit_ratio())]

    # Who looks at a file once a second does not see each change, and does not claim to.
    ours = [c for c in contenders if c.backend is not None and "looks" not in c.name]
    each(ours, row, outcome, measure)
    table = f"file cache hits: {_FILES} files read over and over, one of them changes each time"
    outcome.results.append(Result(row.name, table, "hit ratio", "", samples, digits=3))


FILES_ROWS: Final[tuple[Row, ...]] = (
    Row("files.write", "writes", "many writes of 10 KB to one file, until it is there", _write),
    Row("files.touched", "writes", "how often the disk is touched by writes in a window", _touched),
    Row("files.get", "reads", "what a JSON file of 10 KB says that did not change", _get),
    Row("files.many", "reads", "the same for each of a hundred files in turn", _many),
    Row("files.ratio", "reads", "hits when one of a hundred files changes in each pass", _ratio),
)
