"""The service under test, called as an ASGI application without a server."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from penstock.demo._caching import Caching, NoCache, OneTier, Tiers
from penstock.demo._documents import build_database
from penstock.demo._events import open_log
from penstock.demo._l2 import SecondTier, open_store
from penstock.demo._reader import DocumentReader
from penstock.demo._service import make_app
from penstock.errors import ClosedError

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.applications import Starlette
    from starlette.types import Message


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "documents.sqlite"
    for _ in build_database(path, 30, 1):
        pass
    return path


async def _get(app: Starlette, path: str) -> tuple[int, bytes]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [],
    }
    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], body


def _serve(database: Path, cache_size: int | None, *paths: str) -> list[tuple[int, bytes]]:
    reader = DocumentReader(database)

    async def main() -> list[tuple[int, bytes]]:
        app = make_app(reader, None if cache_size is None else OneTier(cache_size))
        return [await _get(app, path) for path in paths]

    try:
        return asyncio.run(main())
    finally:
        reader.close()


@pytest.mark.parametrize("kind", ["commit", "recorder"])
def test_each_document_that_is_sent_is_recorded_before(
    database: Path, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "events.sqlite"
    events = open_log(kind, path)
    seen: list[int] = []

    async def main() -> bytes:
        app = make_app(reader, OneTier(10), events=events)
        await events.open()
        for number in range(1, 21):
            status, _ = await _get(app, f"/documents/{number}")
            assert status == 200
            with closing(sqlite3.connect(path)) as db:
                seen.append(db.execute("SELECT COUNT(*) FROM events").fetchone()[0])
        await _get(app, "/documents/99")
        await asyncio.gather(*[_get(app, "/documents/1") for _ in range(20)])
        _, stats = await _get(app, "/stats")
        await events.close()
        return stats

    reader = DocumentReader(database)
    try:
        stats = json.loads(asyncio.run(main()))
    finally:
        reader.close()
    assert seen == list(range(1, 21))
    assert stats["rows"] == 40
    assert stats["commits"] == 40 if kind == "commit" else 20 < stats["commits"] < 40


def _serve_with(database: Path, caching: Caching, *paths: str) -> list[bytes]:
    """Start a service, ask it, and end it: what a restart leaves is what its store has."""
    reader = DocumentReader(database)

    async def main() -> list[bytes]:
        app = make_app(reader, caching)
        async with app.router.lifespan_context(app):
            return [(await _get(app, path))[1] for path in paths]

    return asyncio.run(main())


def test_restarted_service_finds_what_the_one_before_has_read(
    database: Path, tmp_path: Path
) -> None:
    second = SecondTier(tmp_path, None)
    _, address, _, namespace = second.service_args
    paths = [f"/documents/{n}" for n in (1, 2, 1, 31)]

    def serve(*stores: bool) -> tuple[list[bytes], dict[str, int]]:
        tiers = Tiers(10, *[open_store(address, namespace) for _ in stores])
        *bodies, stats = _serve_with(database, tiers, *paths, "/stats")
        return bodies, json.loads(stats)

    asyncio.run(second.check())
    alone, without = serve()
    first, cold = serve(True)
    again, warm = serve(True)
    assert first == again == alone == _serve_with(database, NoCache(), *paths)
    counts = ("reads", "l2_hits", "misses", "hits")
    assert [without[each] for each in counts] == [3, 0, 3, 1]
    assert [cold[each] for each in counts] == [3, 0, 3, 1]
    assert [warm[each] for each in counts] == [0, 3, 0, 4]
    assert second.name == "SQLite"
    asyncio.run(second.forget())


def test_cached_service_answers_the_same_bytes(database: Path) -> None:
    paths = [f"/documents/{n}" for n in (1, 2, 1, 30)]
    assert _serve(database, 10, *paths) == _serve(database, None, *paths)


def test_service_without_cache_reads_every_time(database: Path) -> None:
    *_, (_, stats) = _serve(database, None, "/documents/1", "/documents/1", "/stats")
    answer = json.loads(stats)
    assert answer["reads"] == 2
    assert answer["hits"] == answer["misses"] == 0


def test_cached_service_reads_once(database: Path) -> None:
    *_, (_, stats) = _serve(database, 10, *["/documents/1"] * 3, "/stats")
    answer = json.loads(stats)
    assert (answer["reads"], answer["hits"], answer["misses"]) == (1, 2, 1)


def test_cache_holds_no_more_than_its_size(database: Path) -> None:
    paths = [f"/documents/{n}" for n in (1, 2, 3, 1)]
    *_, (_, stats) = _serve(database, 2, *paths, "/stats")
    answer = json.loads(stats)
    assert (answer["reads"], answer["evictions"]) == (4, 2)


@pytest.mark.parametrize("cache_size", [None, 10])
def test_unknown_document_is_a_404(database: Path, cache_size: int | None) -> None:
    (status, body), (wrong, _) = _serve(database, cache_size, "/documents/31", "/documents/x")
    assert status == 404
    assert json.loads(body) == {"error": "no such document"}
    assert wrong == 404


def test_stats_name_backend_and_server(database: Path) -> None:
    ((_, stats),) = _serve(database, None, "/stats")
    answer = json.loads(stats)
    assert answer["backend"] in {"native", "pure"}
    assert "uvicorn" in answer["server"]


def test_metrics_count_requests_and_cache(database: Path) -> None:
    before, *_, (status, page) = _serve(
        database, 10, "/metrics", *["/documents/1"] * 3, "/nowhere", "/metrics"
    )

    def grown(series: str) -> float:
        def value(text: bytes) -> float:
            lines = (line.rpartition(" ") for line in text.decode().splitlines())
            return sum(float(number) for name, _, number in lines if name == series)

        return value(page) - value(before[1])

    assert (before[0], status) == (200, 200)
    of_documents = 'handler="/documents/{document_id:int}",method="GET",status="200"'
    assert grown(f"http_requests_total{{{of_documents}}}") == 3
    assert grown('http_requests_total{handler="__unmatched__",method="GET",status="404"}') == 1
    assert grown('penstock_cache_hits_total{name="documents"}') == 2
    assert grown('penstock_cache_misses_total{name="documents"}') == 1
    assert b'handler="/metrics"' not in page


def test_what_is_open_is_closed_when_the_start_fails(database: Path, tmp_path: Path) -> None:
    events = open_log("recorder", tmp_path / "events.sqlite")
    reader = DocumentReader(database)

    def fail() -> None:
        raise OSError("nobody reads the port")

    async def main() -> None:
        app = make_app(reader, None, fail, events)
        with pytest.raises(OSError, match="nobody"):
            async with app.router.lifespan_context(app):
                pass
        with pytest.raises(ClosedError):
            await events.record((1.0, 1))

    asyncio.run(main())
