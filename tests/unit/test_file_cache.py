"""File caches: what is read again, what is not, and what is told about it."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.filing import Parser, age, rewrite
from tests.steps import run

from penstock import FileCache
from penstock.files import FileCacheStats, _cache, _reading

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    age(path)
    return path


@pytest.fixture
def parser() -> Parser:
    return Parser()


# hits


def test_a_file_that_did_not_change_is_read_once(path: Path, parser: Parser) -> None:
    async def main() -> None:
        files = FileCache(parse=parser)
        for _ in range(5):
            assert await files.get(path) == "one"
        assert parser.calls == [b"one"]
        assert files.stats() == FileCacheStats(
            hits=4, misses=1, loads=1, files=1, bytes=3, max_bytes=64 * 2**20
        )
        assert files.stats().hit_ratio == 0.8

    run(main())


def test_a_hit_never_touches_the_event_loop(path: Path, parser: Parser) -> None:
    async def main() -> None:
        files = FileCache(parse=parser)
        await files.get(path)
        with pytest.raises(StopIteration) as caught:
            files.get(path).__await__().send(None)
        assert caught.value.value == "one"

    run(main())


def test_json_is_parsed_by_default(path: Path) -> None:
    path.write_bytes(b'{"a": [1, 2.5]}')

    async def main() -> Any:
        return await FileCache().get(path)

    assert run(main()) == {"a": [1, 2.5]}


def test_a_get_is_a_coroutine_whether_it_hits_or_not(path: Path, parser: Parser) -> None:
    async def main() -> None:
        files = FileCache(parse=parser)
        for _ in range(2):
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(files.get(path)) for _ in range(3)]  # type: ignore[arg-type]
            assert [task.result() for task in tasks] == ["one"] * 3
        results = await asyncio.gather(files.get(path), files.get("none"), return_exceptions=True)
        assert results[0] == "one"
        assert isinstance(results[1], FileNotFoundError)

    run(main())


def test_paths_of_every_kind_are_taken(
    path: Path, parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)

    async def main() -> None:
        files = FileCache(parse=parser)
        for name in (path, str(path), os.fsencode(path)):
            assert await files.get(name) == "one"
        assert len(parser.calls) == 1
        assert await files.get("a") == "one"
        other = path.parent / "other"
        other.mkdir()
        (other / "a").write_bytes(b"two")
        monkeypatch.chdir(other)
        assert await files.get("a") == "two"  # another file of the same name
        for wrong, error in ((3, TypeError), (None, TypeError)):
            with pytest.raises(error):
                files.get(wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="null"):
            await files.get("a\0b")

    run(main())


# changes


def _touch(path: Path) -> None:
    age(path, 50.5)


def _grow(path: Path) -> None:
    before = path.stat()
    path.write_bytes(b"three")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replace(path: Path) -> None:
    before = path.stat()
    other = path.with_name("b")
    other.write_bytes(b"two")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def _relink(path: Path) -> None:
    _replace(path.parent / "target")


@pytest.mark.parametrize(
    ("change", "content"), [(_touch, "one"), (_grow, "three"), (_replace, "two")]
)
def test_every_sign_of_a_change_counts(
    path: Path, parser: Parser, change: Callable[[Path], None], content: str
) -> None:
    async def main() -> None:
        files = FileCache(parse=parser)
        assert await files.get(path) == "one"
        change(path)
        assert await files.get(path) == content
        assert await files.get(path) == content
        assert len(parser.calls) == 2
        stats = files.stats()
        assert (stats.hits, stats.misses, stats.reloads, stats.loads) == (1, 2, 1, 2)
        assert stats.bytes == len(content)

    run(main())


def test_a_change_of_what_a_symlink_points_to_is_seen(path: Path, parser: Parser) -> None:
    link = path.with_name("link")
    link.symlink_to(path.name)

    async def main() -> None:
        files = FileCache(parse=parser)
        assert await files.get(link) == "one"
        _replace(path)
        assert await files.get(link) == "two"

    run(main())


def test_another_device_is_another_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere:
        def __init__(self, found: os.stat_result) -> None:
            self.found = found
            self.st_dev = found.st_dev + 1

        def __getattr__(self, name: str) -> Any:
            return getattr(self.found, name)

    async def main() -> None:
        files = FileCache(parse=bytes)
        await files.get(path)
        monkeypatch.setattr(_cache, "stat", lambda path: Elsewhere(os.stat(path)))
        await files.get(path)
        assert files.stats().reloads == 1

    run(main())


# changes that look like none


def test_what_was_changed_just_now_is_read_again(path: Path, parser: Parser) -> None:
    async def main() -> None:
        files = FileCache(parse=parser)
        for content in ("abc", "xyz"):
            rewrite(path, content)
            same = time.time_ns()
            os.utime(path, ns=(same, same))
            assert await files.get(path) == content
            # Within the same tick of the clock: time, size and inode are the same as before.
            rewrite(path, content.upper())
            os.utime(path, ns=(same, same))
            assert await files.get(path) == content.upper()
        assert files.stats().files == 0

    run(main())


@pytest.mark.parametrize(
    ("changed_ns", "read_ns", "kept"),
    [
        (5_000_000_001, 5_000_000_002, False),
        (5_000_000_001, 5_010_000_001, False),
        (5_000_000_001, 5_020_000_000, False),
        (5_000_000_001, 5_020_000_001, True),
        (5_000_000_000, 6_999_999_999, False),  # maybe it only knows seconds, and even ones
        (5_000_000_000, 7_000_000_000, True),
        (9_000_000_001, 5_000_000_000, False),  # from the future
    ],
)
def test_what_may_change_unseen_is_not_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch, changed_ns: int, read_ns: int, kept: bool
) -> None:
    os.utime(path, ns=(changed_ns, changed_ns))
    monkeypatch.setattr(_reading, "time_ns", lambda: read_ns)

    async def main() -> None:
        files = FileCache(parse=bytes)
        assert [await files.get(path) for _ in range(2)] == [b"one"] * 2
        assert files.stats().hits == (1 if kept else 0)

    run(main())


def test_a_file_that_is_written_while_it_is_read_is_read_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    fstat = os.fstat

    def changing(descriptor: int) -> os.stat_result:
        reads.append(descriptor)
        if len(reads) == 2:  # the content is read, and not yet looked at again
            path.write_bytes(b"two, which is longer")
            age(path)
        return fstat(descriptor)

    async def main() -> None:
        files = FileCache(parse=bytes)
        monkeypatch.setattr(_reading.os, "fstat", changing)
        assert await files.get(path) == b"two, which is longer"
        assert len(reads) == 4
        assert files.stats().files == 1

    run(main())


def test_a_file_that_never_rests_is_read_and_not_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fstat = os.fstat

    def changing(descriptor: int) -> os.stat_result:
        with path.open("ab") as file:
            file.write(b".")
        return fstat(descriptor)

    async def main() -> None:
        files = FileCache(parse=bytes)
        monkeypatch.setattr(_reading.os, "fstat", changing)
        assert (await files.get(path)).startswith(b"one..")
        assert files.stats().files == 0

    run(main())


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
def test_a_file_of_the_kernel_is_read_each_time() -> None:
    async def main() -> None:
        files = FileCache(parse=bytes)
        for _ in range(2):
            assert b"python" in await files.get("/proc/self/status")
        assert (files.stats().hits, files.stats().loads) == (0, 2)

    run(main())


def test_for_an_interval_nobody_looks(
    path: Path, parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(_cache, "monotonic", lambda: now)

    async def main() -> None:
        nonlocal now
        files = FileCache(parse=parser, check_interval=1.0)
        assert await files.get(path) == "one"
        _replace(path)
        now += 0.9
        assert await files.get(path) == "one"
        now += 0.1
        assert await files.get(path) == "two"
        os.unlink(path)
        now += 0.9
        assert await files.get(path) == "two"
        now += 0.1
        with pytest.raises(FileNotFoundError):
            await files.get(path)

    run(main())


def test_an_interval_begins_again_with_each_look(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, looks = 1000.0, []
    monkeypatch.setattr(_cache, "monotonic", lambda: now)

    async def main() -> None:
        nonlocal now
        files = FileCache(parse=bytes, check_interval=1.0)
        await files.get(path)
        monkeypatch.setattr(_cache, "stat", lambda path: (looks.append(path), os.stat(path))[1])
        for _ in range(20):
            now += 0.25
            await files.get(path)
        assert len(looks) == 5

    run(main())
