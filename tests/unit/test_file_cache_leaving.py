"""File caches: who leaves while a file is read, and who shares a load across loops and threads."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from pathlib import Path

import pytest
from tests.filing import Parser, age
from tests.forks import in_child
from tests.steps import run, steps_of
from tests.threads import spawn

from penstock import FileCache, deadline
from penstock.errors import DeadlineExceeded
from penstock.files._cache import _WORKERS


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


def test_cancelled_at_any_step_others_get_the_file(path: Path) -> None:
    caches: list[FileCache[bytes]] = []

    async def program() -> None:
        files = FileCache(parse=bytes, inline_size=0)
        caches.append(files)
        await asyncio.gather(files.get(path), files.get(path))

    async def another(files: FileCache[bytes]) -> bytes:
        return await files.get(path)

    for step, _ in steps_of(program):
        if not caches:
            assert step == 0
            continue
        files = caches.pop()
        assert run(another(files), collect=False) == b"one"
        assert not files._flights


def test_a_load_goes_on_when_nobody_waits_any_more(path: Path) -> None:
    parser = Parser(held=True)

    async def main() -> None:
        files = FileCache(parse=parser, inline_size=0)
        tasks = [asyncio.ensure_future(files.get(path)) for _ in range(2)]
        await asyncio.sleep(0)
        parser.wait()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        last = asyncio.ensure_future(files.get(path))
        await asyncio.sleep(0)
        parser.gate.set()
        assert await last == "one"
        assert len(parser.calls) == 1

    run(main())


def test_an_error_that_nobody_waits_for_is_nobodys(path: Path) -> None:
    parser = Parser(held=True)
    parser.error = LookupError("broken")
    reports: list[object] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reports.append(context))
        files = FileCache(parse=parser, inline_size=0)
        task = asyncio.ensure_future(files.get(path))
        await asyncio.sleep(0)
        parser.wait()
        task.cancel()
        await asyncio.wait([task])
        parser.gate.set()
        executor = files._executor
        assert executor is not None
        await executor.aclose()  # the load has ended
        assert files.stats().failures == 1

    asyncio.run(main())
    gc.collect()
    assert reports == []


def test_a_deadline_ends_the_wait_of_one(path: Path) -> None:
    parser = Parser(held=True)

    async def main() -> None:
        files = FileCache(parse=parser, inline_size=0)
        with deadline(1.0), pytest.raises(DeadlineExceeded):
            await files.get(path)
        parser.gate.set()
        assert await files.get(path) == "one"
        assert len(parser.calls) == 1

    run(main())


@pytest.mark.parametrize("way", ["cancelled", "too late"])
def test_who_leaves_before_the_load_has_begun_does_not_take_it_along(path: Path, way: str) -> None:
    parser = Parser(held=True)
    busy = [path.with_name(f"busy {number}") for number in range(_WORKERS)]
    for other in busy:
        put(other, "busy")

    async def main() -> None:
        files = FileCache(parse=parser, inline_size=0)
        tasks = [asyncio.ensure_future(files.get(other)) for other in busy]
        for _ in busy:
            await asyncio.to_thread(parser.wait)
        if way == "too late":
            with deadline(0.01), pytest.raises(DeadlineExceeded):
                await files.get(path)
        else:
            leaving = asyncio.ensure_future(files.get(path))
            await asyncio.sleep(0)
            leaving.cancel()
            await asyncio.wait([leaving])
        staying = asyncio.ensure_future(files.get(path))
        await asyncio.sleep(0)
        parser.gate.set()
        assert await staying == "one"
        await asyncio.gather(*tasks)
        assert len(parser.calls) == _WORKERS + 1

    asyncio.run(main())


# loops and threads


def test_two_loops_share_a_load(path: Path) -> None:
    parser = Parser(held=True)
    files = FileCache(parse=parser, inline_size=0)

    async def get() -> str:
        return await files.get(path)

    first = spawn(asyncio.run, get())
    parser.wait()
    second = spawn(asyncio.run, get())
    while files.stats().misses < 2:
        pass
    parser.gate.set()
    assert (first.result(), second.result()) == ("one", "one")
    assert len(parser.calls) <= 2  # the second one may have come just after the load


def test_threads_see_each_change(path: Path) -> None:
    files = FileCache(parse=bytes)
    stop = threading.Event()

    def read() -> list[int]:
        async def main() -> list[int]:
            seen = []
            while not stop.is_set():
                seen.append(int(await files.get(path)))
            return seen

        return asyncio.run(main())

    put(path, "0", 1000)
    readers = [spawn(read) for _ in range(3)]
    for number in range(1, 100):
        # A time of its own: inodes are used again.
        put(path, f"{number}", 1000 - 2 * number)

        async def check(number: int = number) -> None:
            assert int(await files.get(path)) == number

        asyncio.run(check())
    stop.set()
    for reader in readers:
        seen = reader.result()
        assert seen == sorted(seen)


def test_what_leaves_the_cache_may_ask_it_something(tmp_path: Path) -> None:
    class Value:
        def __del__(self) -> None:
            files.stats()
            files.invalidate("none")

    files: FileCache[Value] = FileCache(parse=lambda _: Value(), max_bytes=3)

    async def main() -> None:
        for name in "abc":
            put(tmp_path / name, "one")
            await files.get(tmp_path / name)
        files.clear()

    asyncio.run(main())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_does_not_wait_for_what_its_parent_reads(path: Path) -> None:
    parser = Parser(held=True)
    files = FileCache(parse=parser, inline_size=0)

    async def read() -> str:
        return await files.get(path)

    def work() -> None:
        parser.gate.set()
        asyncio._set_running_loop(None)
        assert asyncio.run(read()) == "one"

    async def main() -> None:
        reading = asyncio.ensure_future(read())
        await asyncio.to_thread(parser.wait)
        assert in_child(work)
        parser.gate.set()
        assert await reading == "one"

    asyncio.run(main())
