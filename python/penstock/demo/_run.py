"""Runs the demo from beginning to end, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import math
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from penstock.demo._documents import build_database
from penstock.demo._interrupt import Interrupt
from penstock.demo._keys import Workload, trace_workload, zipf_workload
from penstock.demo._l2 import SecondTier
from penstock.demo._model import (
    DemoError,
    DemoOptions,
    Round,
    RoundResult,
    default_rounds,
    event_rounds,
    restart_rounds,
)
from penstock.demo._process import running_service
from penstock.demo._progress import Progress
from penstock.demo._report import Report, Restart

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["run"]

# Enough to see the difference, and few seconds.
_EVENTS: Final = 3_000
_EVENT_SECONDS: Final = 4.0
_RESTARTED: Final = 1_200
_RESTART_SECONDS: Final = 2.0
_PREFIX: Final = "penstock-demo-"
_NEEDS: Final = ("starlette", "uvicorn", "aiohttp")


def run(options: DemoOptions) -> int:
    """
    Run the demo: the report goes to standard output, progress and problems to standard error.

    Returns:
        The exit code: 0, 1 when a round had an error or a wrong answer, 128 + n after signal n.

    Raises:
        DemoError: It could not be run to its end.
        TraceError: The trace cannot be used.
    """
    missing = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise DemoError(f'needs {" and ".join(missing)}: pip install "penstock[demo]"')
    return asyncio.run(_run(options, _workload(options)))


def _workload(options: DemoOptions) -> Workload:
    if options.trace is None:
        return zipf_workload(options.documents, options.requests, options.seed)
    return trace_workload(options.trace, options.documents, options.requests, options.seed)


async def _run(options: DemoOptions, workload: Workload) -> int:
    started = time.monotonic()
    progress = Progress()
    interrupt = Interrupt(options.deadline)
    demo = _Demo(options, workload, progress)
    try:
        with interrupt:
            results, events, restart = await demo.run()
    except asyncio.CancelledError:
        progress.clear()
        if interrupt.signal is not None:
            print("penstock demo: interrupted", file=sys.stderr)
            return 128 + interrupt.signal
        if interrupt.too_late:
            raise DemoError(
                f"not done after {options.deadline:g} s; try fewer --requests "
                f"(now {options.requests:,}) or --documents (now {options.documents:,})"
            ) from None
        raise
    except (OSError, sqlite3.Error) as error:
        raise DemoError(f"cannot go on: {error}") from error
    finally:
        progress.clear()
    report = Report(options, workload, results, time.monotonic() - started, events, restart)
    print(report.as_json() if options.as_json else report.as_text())
    for problem in report.problems:
        print(f"penstock demo: error: {problem}", file=sys.stderr)
    return 1 if report.problems else 0


class _Demo:
    """One run: a database, then a fresh service for each round."""

    __slots__ = ("_options", "_progress", "_workload")

    def __init__(self, options: DemoOptions, workload: Workload, progress: Progress) -> None:
        self._options = options
        self._workload = workload
        self._progress = progress

    async def run(self) -> tuple[list[RoundResult], list[RoundResult], Restart]:
        with tempfile.TemporaryDirectory(prefix=_PREFIX) as directory:
            second = SecondTier(Path(directory), self._options.redis)
            await second.check()  # before all that takes long
            database = Path(directory) / "documents.sqlite"
            await self._build(database)
            first, *others = default_rounds(self._workload.documents, self._options.cache_size)
            todo = self._workload.document_ids
            base = await self._round(first, database, todo, self._options.budget)
            # The first round may have been cut short; the others make the requests it made.
            todo = todo[: base.load.requests]
            results = [base]
            results += [await self._round(each, database, todo, math.inf) for each in others]
            events = await self._record(database, base.load.requests)
            try:
                restart = await self._restart(database, base.load.requests, second)
            finally:
                await second.forget()
            return results, events, restart

    async def _record(self, database: Path, requests: int) -> list[RoundResult]:
        """
        Run the rounds that record events, with documents that are soon all in the cache.
        """
        todo = self._workload.first(requests).popular(_EVENTS).document_ids
        before, after = event_rounds(self._workload.documents, self._options.cache_size)
        base = await self._round(before, database, todo, _EVENT_SECONDS)
        todo = todo[: base.load.requests]
        return [base, await self._round(after, database, todo, math.inf)]

    async def _restart(self, database: Path, requests: int, second: SecondTier) -> Restart:
        """
        Run the rounds of services that were just started: all begin with nothing in memory.
        """
        todo = self._workload.first(min(requests, _RESTARTED)).document_ids
        rounds = restart_rounds(
            self._workload.documents, self._options.cache_size, second.service_args
        )
        base = await self._round(rounds[0], database, todo, _RESTART_SECONDS)
        todo = todo[: base.load.requests]
        results = [base]
        results += [await self._round(each, database, todo, math.inf) for each in rounds[1:]]
        return Restart(second.name, tuple(results))

    async def _build(self, database: Path) -> None:
        total = self._workload.documents
        self._progress.stage(f"making {total:,} documents")
        with contextlib.closing(build_database(database, total, self._options.seed)) as steps:
            for done in steps:
                self._progress.update(done, total)
                await asyncio.sleep(0)  # lets Ctrl-C in

    async def _round(
        self, this: Round, database: Path, document_ids: Sequence[int], budget: float
    ) -> RoundResult:
        # Late: only after the check that it is installed.
        from penstock.demo._client import fetch_stats, request_all

        show = self._progress.update
        log = database.with_name("service.log")
        async with running_service(database, this.service_args, log) as service:
            self._progress.stage(f"round {this.name!r}")
            load = await service.guard(
                request_all(service.url, document_ids, self._options.concurrency, show, budget)
            )
            if load.errors:
                await service.check()
            return RoundResult(this, load, await service.guard(fetch_stats(service.url)))
