"""File caches: how much they keep, and how they are told so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.filing import Parser, age, rewrite
from tests.steps import run

from penstock import FileCache, json
from penstock.files import FileCacheStats
from penstock.metrics import generate_latest

if TYPE_CHECKING:
    pass


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    age(path)
    return path


@pytest.fixture
def parser() -> Parser:
    return Parser()


def test_what_was_used_least_recently_leaves(tmp_path: Path, parser: Parser) -> None:
    paths = [tmp_path / name for name in "abcd"]
    for path in paths:
        path.write_bytes(b"x" * 30)
        age(path)

    async def main() -> None:
        files = FileCache(parse=parser, max_bytes=100)
        for path in (*paths[:3], paths[0], paths[3], paths[0]):
            await files.get(path)
        stats = files.stats()
        assert (stats.files, stats.bytes, stats.evictions, stats.hits) == (3, 90, 1, 2)
        await files.get(paths[1])
        assert files.stats().misses == 5

    run(main())


def test_a_file_that_does_not_fit_is_read_each_time(path: Path, parser: Parser) -> None:
    async def main() -> None:
        files = FileCache(parse=parser, max_bytes=4)
        assert await files.get(path) == "one"
        rewrite(path, "three")
        age(path)
        for _ in range(2):
            assert await files.get(path) == "three"
        stats = files.stats()
        assert (stats.files, stats.bytes, stats.loads) == (0, 0, 3)

    run(main())


def test_an_empty_file_is_kept_too(path: Path) -> None:
    path.write_bytes(b"")
    age(path)

    async def main() -> None:
        files = FileCache(parse=bytes)
        assert [await files.get(path) for _ in range(2)] == [b"", b""]
        assert files.stats().hits == 1

    run(main())


# options


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"parse": 3}, TypeError),
        ({"max_bytes": 0}, ValueError),
        ({"max_bytes": None}, TypeError),
        ({"inline_size": -1}, ValueError),
        ({"inline_size": 1.5}, TypeError),
        ({"check_interval": -1}, ValueError),
        ({"check_interval": "1"}, TypeError),
        ({"check_interval": False}, TypeError),
        ({"name": b"x"}, TypeError),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        FileCache(**options)


def test_it_shows_what_it_is(path: Path) -> None:
    files = FileCache(parse=json.loads, max_bytes=10, name="shown cache")
    assert repr(files) == "FileCache(max_bytes=10, name='shown cache')"
    assert (files.name, files.max_bytes) == ("shown cache", 10)
    assert FileCacheStats().hit_ratio == 0.0
    page = generate_latest().decode()
    assert 'penstock_file_cache_max_bytes{name="shown cache"} 10.0' in page
    assert 'penstock_file_cache_hits_total{name="shown cache"} 0.0' in page
