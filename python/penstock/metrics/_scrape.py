"""Answers to scrapers, and the threads that make them beside an event loop."""

from __future__ import annotations

import asyncio
import gzip
import os
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from penstock.metrics._exposition import render
from penstock.metrics._negotiation import Format, accepts_gzip, choose_format, wanted_names

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

__all__ = [
    "Answer",
    "Headers",
    "Scrape",
    "Scraper",
    "answer",
    "read_scrape",
    "refusal",
    "text_headers",
]

Headers: TypeAlias = list[tuple[str, str]]

#: prometheus_client's 9 takes five times as long and saves another fifth.
_GZIP_LEVEL: Final = 4
#: Scrapes of one application that run at once: a second one so that a slow collector of the first
#: does not keep everybody waiting; more would only take turns for the interpreter.
_MAX_THREADS: Final = 2


class Scrape(NamedTuple):
    """What a scraper asks for; who asks for the same at the same time gets the same answer."""

    form: Format
    names: frozenset[str] | None
    gzip: bool


class Answer(NamedTuple):
    """The headers and the body of a page."""

    headers: Headers
    body: bytes


def read_scrape(accept: str, accept_encoding: str, query: bytes, *, compress: bool) -> Scrape:
    """Return what the headers and the query of a request ask for; nonsense asks for the default."""
    return Scrape(
        choose_format(accept), wanted_names(query), compress and accepts_gzip(accept_encoding)
    )


def answer(registry: Collector, scrape: Scrape) -> Answer:
    """Collect, encode and compress a page."""
    body = render(registry, scrape.form, scrape.names)
    headers = [("Content-Type", scrape.form.content_type), ("Vary", "Accept, Accept-Encoding")]
    if scrape.gzip:
        body = gzip.compress(body, _GZIP_LEVEL, mtime=0)
        headers.append(("Content-Encoding", "gzip"))
    headers.append(("Content-Length", str(len(body))))
    return Answer(headers, body)


def refusal(method: str) -> tuple[int, Headers, bytes]:
    """Return the status, headers and body for any method but GET and HEAD."""
    allow = ("Allow", "GET, HEAD, OPTIONS")
    if method == "OPTIONS":
        return 200, [allow, *text_headers(b"")], b""
    body = f"# HTTP 405 Method Not Allowed: {method}; use {allow[1]}\n".encode("utf-8", "replace")
    return 405, [allow, *text_headers(body)], body


def text_headers(body: bytes) -> Headers:
    """Return the headers of a body that is no page."""
    return [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]


class _Waiter(NamedTuple):
    """A request that waits for its answer, and the loop that it waits on."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Answer]

    def settle(self, result: Answer | Exception) -> None:
        if self.future.done():  # cancelled meanwhile
            return
        if isinstance(result, Exception):
            self.future.set_exception(result)
        else:
            self.future.set_result(result)


def _settle(waiters: list[_Waiter], result: Answer | Exception) -> None:
    """Hand an answer over to all who wait for it, from any thread."""
    for waiter in waiters:
        with suppress(RuntimeError):  # the loop is closed: nobody is there any more
            waiter.loop.call_soon_threadsafe(waiter.settle, result)


class Scraper:
    """
    Makes answers in daemon threads of its own, so that no event loop is held by a scrape.

    At most two threads run at a time. Requests beyond them wait; those that wait for the same page
    share one, which is collected after the last of them came.

    Args:
        registry: What to scrape.

    Cost: a thread per scrape. Thread-safe; for any number of event loops; usable after a fork.
    """

    __slots__ = ("__weakref__", "_lock", "_registry", "_threads", "_waiting")

    def __init__(self, registry: Collector) -> None:
        self._registry = registry
        self._reset()
        _scrapers.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._threads = 0
        self._waiting: dict[Scrape, list[_Waiter]] = {}

    async def get(self, scrape: Scrape) -> Answer:
        """
        Return a page that is collected from now on.

        Cancelling it drops the page, and the scrape too if it has not begun.
        """
        loop = asyncio.get_running_loop()
        waiter = _Waiter(loop, loop.create_future())
        with self._lock:
            self._waiting.setdefault(scrape, []).append(waiter)
            is_missing_a_thread = self._threads < _MAX_THREADS
            self._threads += is_missing_a_thread
        try:
            if is_missing_a_thread:
                self._start()
            return await waiter.future
        finally:
            self._forget(scrape, waiter)

    def _start(self) -> None:
        try:
            threading.Thread(target=self._work, name="penstock-scrape", daemon=True).start()
        except RuntimeError as error:  # too many threads, or the interpreter shuts down
            with self._lock:
                self._threads -= 1
                stranded = {} if self._threads else self._waiting
                self._waiting = self._waiting if self._threads else {}
            for waiters in stranded.values():
                _settle(waiters, error)

    def _forget(self, scrape: Scrape, waiter: _Waiter) -> None:
        with self._lock:
            waiters = self._waiting.get(scrape, [])
            if waiter in waiters:
                waiters.remove(waiter)
                if not waiters:
                    del self._waiting[scrape]

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._threads -= 1
                    return
                scrape = next(iter(self._waiting))
                waiters = self._waiting.pop(scrape)
            _settle(waiters, self._answer(scrape))

    def _answer(self, scrape: Scrape) -> Answer | Exception:
        try:
            return answer(self._registry, scrape)
        except BaseException as error:  # whoever waits must hear of it
            failure = RuntimeError("the scrape failed")
            failure.__cause__ = error
            return failure


_scrapers: Final[weakref.WeakSet[Scraper]] = weakref.WeakSet()


def _after_fork() -> None:
    # Neither the threads nor the requests of the parent are here, and its lock may be held.
    for scraper in _scrapers:
        scraper._reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
