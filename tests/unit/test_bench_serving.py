"""The rows that serve: pages of metrics, loops held by scrapes, requests through middleware."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import pytest
from tests.benching import SUFFIX, ours, plan, ticking

from penstock.bench import CHECK, FILL, Contender, Outcome, family, run_rows
from penstock.bench._middleware_rows import _Application, _measure, _report
from penstock.bench._rows import choose
from penstock.bench._scrape_rows import largest_gap

if TYPE_CHECKING:
    from collections.abc import Coroutine

OURS = f"penstock metrics{SUFFIX}"
ALONE = "no scrape, the ticker alone"


# pages


def test_a_page_of_penstock_is_measured_in_milliseconds() -> None:
    run = run_rows(choose(["scrape.page"]), ours("scrape"), plan(series=20))
    assert run.outcome.failed == {}
    (result,) = run.outcome.results
    assert list(result.samples) == [OURS]
    assert (result.unit, result.median(OURS)) == ("ms", 1e-6)  # a pass is one tick of the clock
    assert result.table == "scrape: 20 counter series, 2 histograms x 15 buckets"


def test_a_page_without_all_series_is_refused() -> None:
    make = f"import prometheus_client as m\nregistry = m.CollectorRegistry()\n{FILL}"
    make += f"fill(series - 1, 0)\nc = lambda: m.generate_latest(registry)\n{CHECK}"
    thrifty = family("thrifty", ["scrape"], make, ops={"scrape": "c()"})
    run = run_rows(choose(["scrape.page"]), [thrifty], plan(series=20))
    (failure,) = run.outcome.failed.values()
    assert failure == "AssertionError: the page has 19 of 20 series"


# loops


class HandClock:
    """A clock in nanoseconds that moves only when told to."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def gap_of(clock: HandClock, work: Coroutine[object, object, None]) -> tuple[float, float]:
    return asyncio.run(largest_gap(clock, work))


@pytest.mark.parametrize("holds", [(2_000_000, 7_000_000), (7_000_000, 2_000_000)])
def test_work_that_holds_the_loop_is_a_gap_between_two_ticks(holds: tuple[int, int]) -> None:
    clock = HandClock()

    async def work() -> None:
        clock.now += holds[0]
        await asyncio.sleep(0)
        clock.now += holds[1]

    assert gap_of(clock, work()) == (7.0, 9.0)


def test_work_that_lets_the_loop_go_on_is_no_gap() -> None:
    clock = HandClock()

    async def work() -> None:
        for _ in range(10):
            clock.now += 1_000_000
            await asyncio.sleep(0)

    assert gap_of(clock, work()) == (1.0, 10.0)


def test_work_that_fails_is_no_figure() -> None:
    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        gap_of(HandClock(), work())


def test_scrapes_are_watched_beside_a_ticker_that_is_left_alone() -> None:
    slower = itertools.accumulate(itertools.count()).__next__  # a clock of ever larger steps
    small = plan(children=3, scrapes=2, clock=slower)
    run = run_rows(choose(["scrape.loop"]), ours("scrape-loop"), small)
    assert run.outcome.failed == {}
    held, worst, spent = run.outcome.results
    assert list(held.samples) == list(worst.samples) == [OURS, f"{OURS}, gzip", ALONE]
    assert list(spent.samples) == [OURS, f"{OURS}, gzip"]
    assert worst.samples[OURS] == [held.samples[OURS][1]] != [held.samples[OURS][0]]
    assert [len(samples) for samples in held.samples.values()] == [2, 2, 2]


@pytest.mark.parametrize(("step", "noted"), [(1, False), (2_000_000, True)])
def test_a_loop_that_is_held_by_the_machine_alone_is_noted(step: int, noted: bool) -> None:
    run = run_rows(choose(["scrape.loop"]), [], plan(scrapes=1, clock=ticking(step)))
    assert ("scrape.loop" in run.outcome.notes) == noted


APP = """
async def c(scope, receive, send):
    await send({"type": "http.response.start", "status": status, "headers": []})
    lines = "".join(f'\\nlatency_seconds_count{{path="{i}"}} 1.0' for i in range(shown))
    await send({"type": "http.response.body", "body": lines.encode()})
headers = []
"""


@pytest.mark.parametrize(
    ("status", "shown", "reason"),
    [
        (200, 3, None),
        (200, 2, "BenchError: status 200, 2 of 3 histograms"),
        (500, 3, "BenchError: status 500, 3 of 3 histograms"),
    ],
)
def test_a_scrape_that_does_not_show_everything_is_refused(
    status: int, shown: int, reason: str | None
) -> None:
    app = family("app", ["scrape-loop"], f"status, shown = {status}, {shown}\n{APP}")
    run = run_rows(choose(["scrape.loop"]), [app], plan(children=3, scrapes=1))
    assert run.outcome.failed.get("app (scrape.loop)") == reason
    assert ("app" in run.outcome.results[0].samples) == (reason is None)


# middleware

NOTHING = family("nothing", ["middleware"], "")
# A framework small enough to be here: it answers each path there is with 200.
TINY = """
async def f(scope, receive, send):
    known = scope["path"].split("/")[1] in [f"things{i}" for i in range(routes)]
    await send({"type": "http.response.start", "status": 200 if known else 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})
"""
TINY_APPLICATION = _Application("Tiny", TINY, "pytest", 2)


def measured(*contenders: Contender, what: _Application = TINY_APPLICATION) -> Outcome:
    """Return the outcome of a middleware row."""
    outcome = Outcome()
    _measure(what, choose(["middleware"])[0], contenders, plan(), outcome)
    return outcome


def test_requests_are_measured_bare_and_through_the_middleware() -> None:
    outcome = measured(NOTHING)
    assert outcome.failed == {}
    above, whole = outcome.results
    assert list(above.samples) == ["nothing"]
    assert list(whole.samples) == ["bare application", "nothing"]
    assert above.title == whole.title == "Tiny, 2 routes"


def test_what_is_above_the_bare_application_is_taken_round_by_round() -> None:
    outcome = Outcome()
    samples = {"bare application": [50_000.0, 90_000.0], "m": [53_000.0, 94_000.0]}
    _report(TINY_APPLICATION, choose(["middleware"])[0], samples, outcome)
    above, whole = outcome.results
    assert above.samples == {"m": [3.0, 4.0]}
    assert whole.samples == {"bare application": [50.0, 90.0], "m": [53.0, 94.0]}
    assert not above.steady


def test_a_middleware_that_breaks_requests_is_refused() -> None:
    broken = """
inner = f
async def f(scope, receive, send):
    await inner({**scope, "path": "/nowhere"}, receive, send)
"""
    outcome = measured(family("broken", ["middleware"], broken), NOTHING)
    (failure,) = outcome.failed.values()
    assert failure == "BenchError: /things0/0 is answered with [404, None]"
    assert list(outcome.results[0].samples) == ["nothing"]


def test_a_framework_that_is_missing_is_named() -> None:
    absent = _Application("Absent", "import absent", "no-such-framework", 2)
    outcome = measured(NOTHING, what=absent)
    reason = "no-such-framework is not installed"
    assert outcome.skipped == {"bare application": reason, "nothing": reason}
    assert [result.samples for result in outcome.results] == [{}, {}]


def test_penstock_takes_part_in_requests_through_starlette() -> None:
    run = run_rows(choose(["middleware.starlette-5"]), ours("middleware"), plan())
    assert run.outcome.failed == {}
    names = [f"penstock ASGIMiddleware{SUFFIX}", f"penstock instrument{SUFFIX}"]
    assert list(run.outcome.results[0].samples) == names
