"""The load generator: a fixed number of keep-alive connections that share one list of requests."""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import TYPE_CHECKING, Final, cast

import aiohttp

from penstock.demo._model import DemoError, Load, ServiceStats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["fetch_stats", "request_all"]

_REQUEST_SECONDS: Final = 10.0


async def request_all(
    url: str,
    document_ids: Sequence[int],
    concurrency: int,
    on_progress: Callable[[int, int], None],
    budget: float,
) -> Load:
    """
    Ask for the documents in order, *concurrency* at a time.

    Args:
        url: The service, as in ``http://127.0.0.1:8000``.
        document_ids: What to ask for.
        concurrency: How many connections, each with one request under way.
        on_progress: Called with the requests done and their total, ten times a second.
        budget: Seconds after which no further request is begun.

    Returns:
        Latencies and a digest of the body per document. A failed request is counted, and does
        not end the round.
    """
    load = Load()
    started = time.perf_counter()
    todo = _while_time_lasts(document_ids, started + budget)
    async with _session(url, concurrency) as session:
        workers = [_work(session, todo, load) for _ in range(concurrency)]
        ticker = asyncio.create_task(_report(load, len(document_ids), on_progress))
        try:
            await asyncio.gather(*workers)
            load.seconds = time.perf_counter() - started
        finally:
            ticker.cancel()
            await asyncio.gather(ticker, return_exceptions=True)
    return load


async def fetch_stats(url: str) -> ServiceStats:
    """
    Return what the service counted.

    Raises:
        DemoError: It does not say.
    """
    try:
        async with _session(url, 1) as session, session.get("/stats") as response:
            response.raise_for_status()
            return cast("ServiceStats", await response.json())
    except (aiohttp.ClientError, TimeoutError) as error:
        raise DemoError(f"no counts from the service: {type(error).__name__}: {error}") from error


def _session(url: str, connections: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        url,
        connector=aiohttp.TCPConnector(limit=connections),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=_REQUEST_SECONDS),
    )


def _while_time_lasts(document_ids: Sequence[int], until: float) -> Iterator[int]:
    for document_id in document_ids:
        yield document_id
        if time.perf_counter() >= until:
            return


async def _work(session: aiohttp.ClientSession, todo: Iterator[int], load: Load) -> None:
    for document_id in todo:
        started = time.perf_counter()
        try:
            async with session.get(f"/documents/{document_id}") as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            _count_error(load, f"{type(error).__name__}: {error}")
            continue
        seconds = time.perf_counter() - started
        if response.status != 200:
            _count_error(load, f"HTTP {response.status} for document {document_id}")
            continue
        load.latencies.append(seconds)
        digest = hashlib.blake2b(body, digest_size=16).digest()
        if load.digests.setdefault(document_id, digest) != digest:
            load.mismatches += 1


def _count_error(load: Load, text: str) -> None:
    load.errors += 1
    load.first_error = load.first_error or text


async def _report(load: Load, total: int, on_progress: Callable[[int, int], None]) -> None:
    # From the side: a terminal that is slow to write must not show up in the latencies.
    while True:
        await asyncio.sleep(0.1)
        on_progress(load.requests, total)
