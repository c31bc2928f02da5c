"""Scrapes: what a page costs, and for how long the event loop that serves it is held."""

from __future__ import annotations

import asyncio
import gzip
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, cast

from penstock.bench._engine import Runner, gc_off, interleave
from penstock.bench._metrics_rows import runner_of
from penstock.bench._model import BenchError, Contender, Outcome, Plan, Result, Row
from penstock.bench._subjects import build, each

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping, Sequence

__all__ = ["SCRAPE_ROWS", "largest_gap"]

# A tenth of a second of nothing: what the machine itself does to the ticker.
_QUIET: Final = 0.1
_QUIET_NAME: Final = "no scrape, the ticker alone"
# A quiet machine leaves the ticker alone but for a fraction of a millisecond.
_SPOILT: Final = 1.0
_TIMEOUT: Final = 30.0
_MS: Final = 1_000_000


def _measure_page(row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome) -> None:
    runners: dict[str, Runner] = {}
    with ExitStack() as stack:

        def prepare(contender: Contender) -> None:
            runner = runner_of(contender, "scrape", [0], plan, stack, series=plan.series)
            runner(1)
            runners[contender.name] = runner

        each(contenders, row, outcome, prepare)
        samples = interleave(runners, rounds=plan.rounds, round_ns=plan.round_ns)
    in_ms = {name: [spent / _MS for spent in spans] for name, spans in samples.items()}
    table = f"scrape: {plan.series:,} counter series, {plan.series // 10:,} histograms x 15 buckets"
    outcome.results.append(Result(row.name, table, "one page", "ms", in_ms, digits=2))


async def largest_gap(clock: Callable[[], int], work: Awaitable[object]) -> tuple[float, float]:
    """
    Await *work* while a ticker runs on the loop.

    Returns:
        The longest time from one tick to the next, and the time *work* took, in milliseconds.
    """
    gaps: list[int] = []

    async def tick() -> None:
        last = clock()
        while True:
            await asyncio.sleep(0)
            now = clock()
            gaps.append(now - last)
            last = now

    ticker = asyncio.create_task(tick())
    try:
        await asyncio.sleep(0)  # the ticker has read its first time
        begin = clock()
        await work
        spent = clock() - begin
        await asyncio.sleep(0)  # one more tick, for what held the loop at the end
    finally:
        ticker.cancel()
    return max(gaps) / _MS, spent / _MS


class _Client:
    """One request, straight to the application; keeps the status and the body."""

    __slots__ = ("_app", "_headers", "body", "status")

    def __init__(self, app: object, headers: object) -> None:
        self._app = cast("Callable[..., Awaitable[None]]", app)
        self._headers = headers
        self.body = b""
        self.status = 0

    async def get(self) -> None:
        """Ask for the page; the client stays for as long as it takes."""
        self.body = b""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/metrics",
            "raw_path": b"/metrics",
            "root_path": "",
            "query_string": b"",
            "headers": self._headers,
        }
        asked = False

        async def receive() -> dict[str, object]:
            nonlocal asked
            if asked:
                await asyncio.Event().wait()
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}

        await asyncio.wait_for(self._app(scope, receive, self._take), _TIMEOUT)

    async def _take(self, message: MutableMapping[str, object]) -> None:
        if message["type"] == "http.response.start":
            self.status = cast("int", message["status"])
        else:
            self.body += cast("bytes", message.get("body", b""))

    def check(self, children: int) -> None:
        """Check that the page has them all: whoever leaves some out must not win by it."""
        text = gzip.decompress(self.body) if self._headers else self.body
        found = text.count(b"\nlatency_seconds_count{")
        if (self.status, found) != (200, children):
            msg = f"status {self.status}, {found} of {children} histograms"
            raise BenchError(msg)


def _measure_loop(row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome) -> None:
    clients: dict[str, _Client | None] = {}

    def prepare(contender: Contender) -> None:
        made = build(contender, children=plan.children)
        client = _Client(made["c"], made["headers"])
        asyncio.run(client.get())
        client.check(plan.children)
        clients[contender.name] = client

    each(contenders, row, outcome, prepare)
    clients[_QUIET_NAME] = None
    gaps: dict[str, list[float]] = {name: [] for name in clients}
    times: dict[str, list[float]] = {name: [] for name in clients}

    async def scrape(name: str) -> None:
        client = clients[name]
        work = asyncio.sleep(_QUIET) if client is None else client.get()
        gap, spent = await largest_gap(plan.clock, work)
        gaps[name].append(gap)
        times[name].append(spent)

    names = list(clients)
    with gc_off():
        for turn in range(plan.scrapes):
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                asyncio.run(scrape(name))
    del times[_QUIET_NAME]
    table = f"event loop: held by a scrape of {plan.children:,} histograms"
    worst = {name: [max(found)] for name, found in gaps.items()}
    if (alone := worst[_QUIET_NAME][0]) > _SPOILT:
        reason = f"nothing was scraped, and the loop was held for {alone:.1f} ms: run again"
        outcome.notes[row.name] = reason
    title = f"worst of {plan.scrapes}"
    outcome.results += [
        Result(row.name, table, "longest time held", "ms", gaps, digits=2, steady=False),
        Result(f"{row.name}.worst", table, title, "ms", worst, digits=2, steady=False),
        Result(f"{row.name}.time", table, "whole scrape", "ms", times, digits=1, steady=False),
    ]


SCRAPE_ROWS: Final[tuple[Row, ...]] = (
    Row("scrape.page", "scrape", "one page of counters and histograms", _measure_page),
    Row(
        "scrape.loop",
        "scrape-loop",
        "for how long a scrape through make_asgi_app holds the event loop, also with gzip",
        _measure_loop,
    ),
)
