"""`Loader`: what it is told to be, and what it tells of itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.keyed import HeldSource, Source
from tests.loading import settle
from tests.steps import now, run

import penstock
from penstock import Loader
from penstock.metrics import generate_latest

# options


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"load_many": 5}, TypeError, "Loader needs a function, got int"),
        ({"load_many": None}, TypeError, "Loader needs a function, got NoneType"),
        ({"key": "id"}, TypeError, "key must be callable, got str"),
        ({"cache": 1}, TypeError, "cache must be a bool or a mutable mapping, got int"),
        ({"cache": None}, TypeError, "cache must be a bool or a mutable mapping, got NoneType"),
        ({"max_items": 0}, ValueError, "max_items must be >= 1, got 0"),
        ({"max_items": "3"}, TypeError, "max_items must be an int, got str"),
        ({"max_concurrency": 0}, ValueError, "max_concurrency must be >= 1, got 0"),
        ({"max_concurrency": True}, TypeError, "max_concurrency must be an int, got bool"),
        ({"linger": -1}, ValueError, "linger must be"),
        ({"linger": "1"}, TypeError, "linger must be"),
        ({"name": 5}, TypeError, "name must be a str, got int"),
    ],
)
def test_wrong_options_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Loader(**{"load_many": Source(), **options})


def test_a_generator_function_is_refused() -> None:
    def load_many(keys: list[int]) -> Any:
        yield from keys

    with pytest.raises(TypeError, match="generator function"):
        Loader(load_many)


# what it tells


def test_it_tells_what_it_has_done() -> None:
    async def main() -> None:
        source = HeldSource()
        loader = Loader(source)
        begin = now()
        futures = [loader.load(1), loader.load(1), loader.load(2)]
        assert loader.stats().pending == 2
        await settle()
        stats = loader.stats()
        assert (stats.pending, stats.loading, stats.in_flight) == (0, 2, 1)
        await asyncio.sleep(0.5)
        source.release(1)
        await asyncio.gather(*futures)
        await loader.load(1)
        stats = loader.stats()
        assert (stats.hits, stats.shared, stats.misses) == (1, 1, 2)
        assert (stats.loaded, stats.failed, stats.abandoned, stats.calls) == (2, 0, 0, 1)
        assert (stats.pending, stats.loading, stats.in_flight) == (0, 0, 0)
        assert now() - begin == pytest.approx(0.5, abs=0.01)

    run(main())


def test_a_name_shows_it_among_the_metrics() -> None:
    async def main() -> None:
        loader = Loader(Source(), name="users of a test")
        assert loader.name == "users of a test"
        await loader.load_many([1, 2, 1])
        page = generate_latest(penstock.metrics.REGISTRY).decode()
        assert 'penstock_loader_misses_total{name="users of a test"} 2.0' in page
        assert 'penstock_loader_shared_total{name="users of a test"} 1.0' in page
        assert 'penstock_batcher_submitted_total{name="users of a test"}' not in page

    run(main())


def test_its_representation_says_what_it_loads() -> None:
    async def users(keys: list[int]) -> list[int]:
        return keys

    assert repr(Loader(users)).endswith("users>")
    assert repr(Loader(users, name="u")).endswith("users, name='u'>")
