"""Threads that scrape beside an event loop: few, shared, and nobody's hostage."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry
from tests.loading import settle
from tests.scraping import HeldCollector, join_scrapes
from tests.threads import LIMIT, spawn

from penstock.metrics import Counter
from penstock.metrics._negotiation import OPENMETRICS, PLAIN
from penstock.metrics._scrape import Answer, Scrape, Scraper

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Scrape(PLAIN, None, False)
OTHER = Scrape(OPENMETRICS, None, False)
THIRD = Scrape(PLAIN, None, True)


@pytest.fixture
def held() -> Iterator[HeldCollector]:
    collector = HeldCollector()
    yield collector
    collector.go.set()
    join_scrapes()


@pytest.fixture
def scraper(held: HeldCollector) -> Scraper:
    registry = CollectorRegistry()
    registry.register(held)
    return Scraper(registry)


def get(scraper: Scraper, scrape: Scrape = PAGE) -> asyncio.Task[Answer]:
    return asyncio.create_task(scraper.get(scrape))


def test_collecting_happens_in_a_daemon_thread(held: HeldCollector, scraper: Scraper) -> None:
    held.go.set()
    asyncio.run(scraper.get(PAGE))
    (thread,) = held.threads
    assert thread is not threading.current_thread()
    assert thread.daemon


def test_loop_runs_while_a_collector_waits_for_it(held: HeldCollector, scraper: Scraper) -> None:
    async def main() -> None:
        task = get(scraper)
        # Were the loop held, the collector would give up before this runs.
        await held.entered()
        held.go.set()
        assert b"held 1.0" in (await task).body

    asyncio.run(main())


def test_executor_of_the_loop_is_not_used(held: HeldCollector, scraper: Scraper) -> None:
    held.go.set()

    async def main() -> None:
        asyncio.get_running_loop().run_in_executor = None  # type: ignore[assignment,method-assign]
        assert (await scraper.get(PAGE)).body

    asyncio.run(main())


def test_hundred_scrapers_at_once_are_few_scrapes(held: HeldCollector, scraper: Scraper) -> None:
    async def main() -> None:
        first = get(scraper)
        await held.entered()
        second = get(scraper)
        await held.entered()
        others = [get(scraper) for _ in range(100)]
        await settle()
        assert len(held.threads) == 2
        held.go.set()
        pages = {(await other).body for other in others}
        assert len(pages) == 1
        assert not pages & {(await first).body, (await second).body}

    asyncio.run(main())
    assert len(held.threads) == 3
    assert held.peak == 2


def test_page_is_collected_after_it_was_asked_for(held: HeldCollector) -> None:
    """A page that is being collected may have passed what happened before the next request."""
    registry = CollectorRegistry()
    counter = Counter("seen", "By the time of the request.", registry=registry)
    registry.register(held)
    scraper = Scraper(registry)

    async def main() -> None:
        before = get(scraper)
        await held.entered()
        # Both threads are in the collector: whoever comes now waits for one of them.
        also_before = get(scraper)
        await held.entered()
        counter.inc()
        after = get(scraper)
        await settle()
        held.go.set()
        await asyncio.gather(before, also_before)
        assert b"seen_total 1.0" in (await after).body

    asyncio.run(main())


def test_different_pages_are_not_shared(held: HeldCollector, scraper: Scraper) -> None:
    held.go.set()

    async def main() -> None:
        pages = await asyncio.gather(*[scraper.get(each) for each in (PAGE, OTHER, THIRD)] * 5)
        assert len({page.headers[0] for page in pages}) == 2
        assert pages[:3] == pages[3:6] == pages[12:]

    asyncio.run(main())
    assert held.peak <= 2


def test_waiting_scrapes_run_in_the_order_in_which_they_came(
    held: HeldCollector, scraper: Scraper
) -> None:
    done: list[str] = []

    async def ask(name: str, scrape: Scrape) -> None:
        await scraper.get(scrape)
        done.append(name)

    async def main() -> None:
        scraper._threads += 1  # somebody else has the other thread
        blocker = get(scraper)
        await held.entered()
        tasks = []
        for name in "cab":
            scrape = Scrape(PLAIN, frozenset({name, "held"}), False)
            tasks.append(asyncio.create_task(ask(name, scrape)))
            await settle()
        held.go.set()
        await asyncio.gather(blocker, *tasks)

    asyncio.run(main())
    assert done == ["c", "a", "b"]


def test_cancelled_scrape_that_has_not_begun_never_does(
    held: HeldCollector, scraper: Scraper
) -> None:
    async def main() -> None:
        running = [get(scraper)]
        await held.entered()
        running.append(get(scraper))
        await held.entered()
        waiting = get(scraper, OTHER)
        await settle()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert scraper._waiting == {}
        held.go.set()
        await asyncio.gather(*running)

    asyncio.run(main())
    join_scrapes()
    assert len(held.threads) == 2


def test_cancelling_one_of_many_leaves_the_others(held: HeldCollector, scraper: Scraper) -> None:
    async def main() -> None:
        running = [get(scraper)]
        await held.entered()
        running.append(get(scraper))
        await held.entered()
        waiting = [get(scraper) for _ in range(3)]
        await settle()
        waiting[1].cancel()
        await settle()
        held.go.set()
        assert (await waiting[0]).body == (await waiting[2]).body
        running[0].cancel()
        await asyncio.gather(*running, return_exceptions=True)

    asyncio.run(main())


def test_cancelled_scrape_that_has_begun_is_dropped(held: HeldCollector, scraper: Scraper) -> None:
    async def main() -> None:
        errors: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, error: errors.append(error))
        task = get(scraper)
        await held.entered()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        held.go.set()
        await asyncio.to_thread(join_scrapes)
        assert b"held 2.0" in (await scraper.get(PAGE)).body
        assert errors == []

    asyncio.run(main())


def test_answer_for_a_closed_loop_is_dropped_in_silence(
    held: HeldCollector, scraper: Scraper
) -> None:
    async def main() -> None:
        get(scraper)
        await held.entered()

    asyncio.run(main())  # cancels the task and closes the loop
    held.go.set()
    join_scrapes()  # an exception in the thread would be a warning, and so an error
    assert scraper._threads == 0
    assert asyncio.run(scraper.get(PAGE)).body


def test_loops_of_several_threads_share_scrapes(held: HeldCollector, scraper: Scraper) -> None:
    def client() -> Answer:
        return asyncio.run(scraper.get(PAGE))

    clients = []
    for _ in range(2):
        clients.append(spawn(client))
        assert held.inside.acquire(timeout=LIMIT)
    clients += [spawn(client) for _ in range(8)]
    until = time.monotonic() + LIMIT
    while sum(map(len, scraper._waiting.values())) < 8:
        assert time.monotonic() < until
        time.sleep(0)
    held.go.set()
    pages = [each.result().body for each in clients]
    assert len(set(pages)) == 3
    assert len(held.threads) == 3


def test_scrape_that_ends_in_more_than_an_error_is_an_error_of_the_request() -> None:
    class Exiting:
        def collect(self) -> Any:
            raise SystemExit(3)

    registry = CollectorRegistry()
    registry.register(Exiting())
    with pytest.raises(RuntimeError, match="the scrape failed") as caught:
        asyncio.run(Scraper(registry).get(PAGE))
    assert isinstance(caught.value.__cause__, SystemExit)


def test_thread_that_cannot_be_started_is_an_error_of_who_waits(
    monkeypatch: pytest.MonkeyPatch, held: HeldCollector, scraper: Scraper
) -> None:
    held.go.set()

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            asyncio.run(scraper.get(PAGE))
    assert (scraper._threads, scraper._waiting) == (0, {})
    assert asyncio.run(scraper.get(PAGE)).body


def test_threads_end_when_there_is_nothing_to_do(held: HeldCollector, scraper: Scraper) -> None:
    held.go.set()
    asyncio.run(scraper.get(PAGE))
    join_scrapes()
    assert scraper._threads == 0
    assert scraper._waiting == {}
