"""File caches while they read: errors, threads, who shares a load, and who leaves."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest
from tests.filing import Parser, age, rewrite
from tests.steps import run

from penstock import FileCache, json


def put(path: Path, content: str, seconds: float = 100.5) -> None:
    """Another file takes the place of *path*, as old as any."""
    other = path.with_name("new")
    other.write_text(content)
    age(other, seconds)
    other.replace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a"
    put(path, "one")
    return path


# errors


def test_errors_reach_the_caller_and_are_not_kept(path: Path) -> None:
    parser = Parser()
    parser.error = problem = LookupError("broken")

    async def main() -> None:
        for inline_size in (0, 1000):
            files = FileCache(parse=parser, inline_size=inline_size)
            parser.error = problem
            for _ in range(2):
                with pytest.raises(LookupError) as caught:
                    await files.get(path)
                assert caught.value is problem
            assert caught.value.__notes__[-1] == f"in the file {path}"
            parser.error = None
            assert await files.get(path) == "one"
            stats = files.stats()
            assert (stats.loads, stats.failures, stats.misses) == (3, 2, 3)

    run(main())


def test_broken_json_says_in_which_file(path: Path) -> None:
    async def main() -> None:
        with pytest.raises(json.JSONDecodeError) as caught:
            await FileCache().get(path)
        assert caught.value.__notes__ == [f"in the file {path}"]

    run(main())


@pytest.mark.parametrize("inline_size", [0, 1000])
def test_a_parser_that_raises_stop_iteration_hangs_nobody(path: Path, inline_size: int) -> None:
    parser = Parser()
    parser.error = StopIteration(1)

    async def main() -> None:
        with pytest.raises(RuntimeError, match="raised StopIteration"):
            await FileCache(parse=parser, inline_size=inline_size).get(path)

    run(main())


def test_what_is_no_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # It is not even opened: that may do something, where it is a device.
    monkeypatch.setattr("penstock.files._cache.read", None)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")

    async def main() -> None:
        files = FileCache(parse=bytes)
        for name, error in (
            (".", IsADirectoryError),
            ("none", FileNotFoundError),
            ("pipe", OSError),
            ("loop", OSError),
        ):
            with pytest.raises(error) as caught:
                await files.get(tmp_path / name)
            assert caught.value.filename == str(tmp_path / name)
        assert files.stats().files == 0

    run(main())


def test_a_file_that_is_gone_is_forgotten(path: Path) -> None:
    async def main() -> None:
        files = FileCache(parse=bytes)
        await files.get(path)
        os.unlink(path)
        with pytest.raises(FileNotFoundError):
            await files.get(path)
        assert files.stats().bytes == 0
        put(path, "two")
        assert await files.get(path) == b"two"

    run(main())


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = path.stat()
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr("penstock.files._cache.stat", lambda _: found)

    async def main() -> None:
        with pytest.raises(OSError, match="not a regular file"):
            await FileCache(parse=bytes).get(path)

    run(main())


# threads


def test_only_large_files_are_read_in_threads(path: Path) -> None:
    async def main() -> None:
        for inline_size, inline in ((3, True), (2, False)):
            parser = Parser()
            files = FileCache(parse=parser, inline_size=inline_size)
            assert await files.get(path) == "one"
            assert (parser.threads == {threading.get_ident()}) is inline
            assert await files.get(path) == "one"
            assert len(parser.calls) == 1

    run(main())


def test_gets_at_the_same_time_share_one_load(path: Path) -> None:
    parser = Parser(held=True)

    async def main() -> None:
        files = FileCache(parse=parser, inline_size=0)
        tasks = [asyncio.ensure_future(files.get(path)) for _ in range(50)]
        await asyncio.sleep(0)
        parser.wait()
        tasks += [asyncio.ensure_future(files.get(path)) for _ in range(50)]
        await asyncio.sleep(0)
        parser.gate.set()
        assert await asyncio.gather(*tasks) == ["one"] * 100
        assert parser.calls == [b"one"]
        stats = files.stats()
        assert (stats.misses, stats.loads, stats.hits) == (100, 1, 0)

    run(main())


def test_who_comes_after_a_change_does_not_share_the_load_before(path: Path) -> None:
    parser = Parser(held=True)

    async def main() -> None:
        files = FileCache(parse=parser, inline_size=0)
        before = asyncio.ensure_future(files.get(path))
        await asyncio.sleep(0)
        parser.wait()
        put(path, "two")
        after = asyncio.ensure_future(files.get(path))
        await asyncio.sleep(0)
        parser.wait()
        parser.gate.set()
        assert await asyncio.gather(before, after) == ["one", "two"]
        assert await files.get(path) == "two"
        assert len(parser.calls) == 2

    run(main())


def test_who_comes_within_the_tick_of_a_change_does_not_either(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parser = Parser(held=True)
    changed = path.stat().st_mtime_ns
    for module in ("_reading", "_flight"):
        monkeypatch.setattr(f"penstock.files.{module}.time_ns", lambda: changed + 1)

    async def main() -> None:
        files = FileCache(parse=parser, inline_size=0)
        before = asyncio.ensure_future(files.get(path))
        await asyncio.sleep(0)
        parser.wait()
        rewrite(path, "two")
        os.utime(path, ns=(changed, changed))
        after = asyncio.ensure_future(files.get(path))
        await asyncio.sleep(0)
        parser.wait()
        parser.gate.set()
        assert await asyncio.gather(before, after) == ["one", "two"]
        assert files.stats().files == 0

    run(main())


@pytest.mark.parametrize("method", ["invalidate", "clear"])
def test_what_was_invalidated_while_it_was_read_is_not_kept(path: Path, method: str) -> None:
    parser = Parser(held=True)

    async def main() -> None:
        files = FileCache(parse=parser, inline_size=0)
        task = asyncio.ensure_future(files.get(path))
        await asyncio.sleep(0)
        parser.wait()
        if method == "clear":
            files.clear()
        else:
            assert not files.invalidate(path)
        parser.gate.set()
        assert await task == "one"
        assert files.stats().files == 0
        assert await files.get(path) == "one"
        assert len(parser.calls) == 2

    run(main())


def test_what_was_forgotten_is_read_again(path: Path) -> None:
    async def main() -> None:
        parser = Parser()
        files = FileCache(parse=parser)
        await files.get(path)
        assert files.invalidate(str(path))
        assert not files.invalidate(path)
        await files.get(path)
        files.clear()
        await files.get(path)
        assert len(parser.calls) == 3

    run(main())
