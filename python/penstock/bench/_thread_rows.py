"""One cache, one thread and two: nanoseconds per operation of all threads together."""

from __future__ import annotations

import random
import threading
from functools import partial
from textwrap import indent
from typing import TYPE_CHECKING, Final

from penstock.bench._cache_rows import filled
from penstock.bench._engine import Runner, SyncRunner, compile_loop, interleave
from penstock.bench._model import Contender, Outcome, Plan, Result, Row
from penstock.bench._subjects import each

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["THREAD_ROWS", "ThreadsRunner"]

_WRITES: Final = 0.1
_SEED: Final = 1


class ThreadsRunner:
    """Runs one runner per thread, all at once, and takes the time from first to last."""

    __slots__ = ("_clock", "_runners")

    def __init__(self, runners: Sequence[Runner], clock: Callable[[], int]) -> None:
        self._runners = runners
        self._clock = clock

    @property
    def operations(self) -> int:
        """How many operations one pass of all threads has."""
        return sum(runner.operations for runner in self._runners)

    def __call__(self, passes: int) -> int:
        """Run *passes* passes in each thread; return the nanoseconds."""
        gate = threading.Barrier(len(self._runners))
        spans: list[tuple[int, int]] = []

        def work(runner: Runner) -> None:
            gate.wait()
            begin = self._clock()
            runner(passes)
            spans.append((begin, self._clock()))

        threads = [threading.Thread(target=work, args=(runner,)) for runner in self._runners]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return max(end for _, end in spans) - min(begin for begin, _ in spans)


def _measure(
    threads: int, row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome
) -> None:
    keys: list[object] = [f"user:{i}" for i in range(plan.capacity)]
    dice = random.Random(_SEED)  # not a secret
    steps: list[object] = [(key, dice.random() < _WRITES) for key in keys]
    runners: dict[str, Runner] = {}

    def prepare(contender: Contender) -> None:
        c = filled(contender, keys, outcome, n=plan.capacity)
        write, read = (indent(contender.ops[op], " " * 4) for op in ("set", "get"))
        body = f"if write:\n{write}\nelse:\n{read}"
        shift = len(steps) // threads
        parts = [
            SyncRunner(
                compile_loop(body, {}, target="k, write", bind=contender.bind),
                c,
                steps[i * shift :] + steps[: i * shift],
                plan.clock,
                value="value",
            )
            for i in range(threads)
        ]
        runner = ThreadsRunner(parts, plan.clock)
        runner(1)
        runners[contender.name] = runner

    each([c for c in contenders if "set" in c.ops], row, outcome, prepare)
    samples = interleave(runners, rounds=plan.rounds, round_ns=4 * plan.round_ns)
    title = f"{threads} thread" + ("s" if threads > 1 else "")
    outcome.results.append(Result(row.name, "threads: 90 % get, 10 % set", title, "ns", samples))


THREAD_ROWS: Final[tuple[Row, ...]] = tuple(
    Row(f"threads.{count}", "threads", f"90 % get, 10 % set, {count} thread(s)", measure)
    for count, measure in ((count, partial(_measure, count)) for count in (1, 2))
)
