"""File writers: flushing, closing, cancellation, threads, and event loops that come and go."""

from __future__ import annotations

import asyncio
import threading
from concurrent import futures
from pathlib import Path

import pytest
from tests.filing import Disk, names_in, temporaries_in
from tests.steps import now, run, steps_of
from tests.threads import LIMIT, spawn

from penstock import FileWriter
from penstock.errors import ClosedError, WrongEventLoop
from penstock.files import FileWriterStats


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


# flush


def test_flush_ends_the_windows_and_waits(tmp_path: Path) -> None:
    async def main() -> None:
        async with FileWriter(window=100) as writer:
            start = now()
            futures = [writer.write(tmp_path / name, name) for name in "abc"]
            await writer.flush()
            assert now() == start
            assert names_in(tmp_path) == ["a", "b", "c"]
            await asyncio.gather(*futures)
            assert writer.stats().pending == 0

    run(main())


def test_flush_of_a_path_leaves_the_others(tmp_path: Path) -> None:
    async def main() -> None:
        async with FileWriter(window=100) as writer:
            writer.write(tmp_path / "a", b"1")
            writer.write(tmp_path / "b", b"2")
            await writer.flush(tmp_path / "b")
            assert names_in(tmp_path) == ["b"]
            await writer.flush(tmp_path / "unknown")
            assert names_in(tmp_path) == ["b"]
        assert names_in(tmp_path) == ["a", "b"]

    asyncio.run(main())  # on a virtual loop the window of the other one ends meanwhile


def test_flush_covers_what_is_being_written_and_what_comes_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, held=True)

    async def main() -> None:
        async with FileWriter(window=1) as writer:
            writer.write(tmp_path / "a", b"1")
            await asyncio.sleep(1.5)
            disk.wait()
            writer.write(tmp_path / "a", b"2")
            flushing = asyncio.ensure_future(writer.flush())
            await asyncio.sleep(0)
            disk.gate.set()
            await flushing
            assert disk.contents == [b"1", b"2"]

    run(main())


def test_a_flush_of_nothing_is_nothing() -> None:
    async def main() -> None:
        writer = FileWriter()
        await writer.flush()
        await writer.flush("a")
        await writer.aclose()
        await writer.flush()
        assert writer.stats() == FileWriterStats()

    run(main())


def test_flush_raises_the_first_error_and_names_the_others(tmp_path: Path) -> None:
    async def main() -> None:
        writer = FileWriter()
        for name in ("x/a", "b", "y/c"):
            writer.write(tmp_path / name, b"")
        with pytest.raises(FileNotFoundError) as caught:
            await writer.flush()
        assert caught.value.filename == str(tmp_path / "x" / "a")
        (note,) = caught.value.__notes__
        assert str(tmp_path / "y" / "c") in note
        assert names_in(tmp_path) == ["b"]
        await writer.flush()  # it was told
        await writer.aclose()

    run(main())


# closing


def test_closing_writes_what_is_pending(tmp_path: Path) -> None:
    async def main() -> None:
        writer = FileWriter(window=100)
        future = writer.write(tmp_path / "a", b"1")
        await writer.aclose()
        assert future.done()
        assert writer.closed
        for write in (writer.write, writer.write_threadsafe):
            with pytest.raises(ClosedError, match="is closed"):
                write(tmp_path / "a", b"2")

    run(main())
    assert (tmp_path / "a").read_bytes() == b"1"


def test_closing_twice_is_closing_once(tmp_path: Path, disk: Disk) -> None:
    async def main() -> None:
        writer = FileWriter(window=100)
        writer.write(tmp_path / "a", b"1")
        await asyncio.gather(writer.aclose(), writer.aclose())
        await writer.aclose()
        assert disk.contents == [b"1"]

    run(main())


def test_closing_says_what_could_not_be_written(tmp_path: Path) -> None:
    async def main() -> None:
        writer = FileWriter(window=100)
        writer.write(tmp_path / "none" / "a", b"1")
        for _ in range(2):
            with pytest.raises(FileNotFoundError):
                await writer.aclose()
        assert writer.closed

    run(main())


def test_a_block_that_raises_is_closed_all_the_same(tmp_path: Path) -> None:
    async def fail() -> None:
        async with FileWriter(window=100) as writer:
            writer.write(tmp_path / "a", b"1")
            raise KeyError

    async def main() -> None:
        with pytest.raises(KeyError):
            await fail()

    run(main())
    assert names_in(tmp_path) == ["a"]


def test_no_thread_is_left(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    writer = FileWriter(window=0)

    async def main() -> None:
        async with writer:
            await asyncio.gather(*[writer.write(tmp_path / f"{i}", b"") for i in range(20)])

    run(main())
    for thread in set(threading.enumerate()) - before:
        thread.join(LIMIT)
        assert not thread.is_alive()


# cancellation


def test_cancelling_who_waits_cancels_no_write(tmp_path: Path) -> None:
    async def main() -> None:
        async with FileWriter() as writer:
            cancelled, kept = (writer.write(tmp_path / "a", data) for data in (b"1", b"2"))
            cancelled.cancel()
            other = writer.write(tmp_path / "b", b"3")
            other.cancel()
            await kept
            assert not kept.cancelled()

    run(main())
    assert (tmp_path / "a").read_bytes() == b"2"
    assert (tmp_path / "b").read_bytes() == b"3"


@pytest.mark.parametrize("method", ["flush", "aclose"])
@pytest.mark.parametrize("twice", [0, 1])
def test_cancelled_at_any_step_nothing_is_lost(tmp_path: Path, method: str, twice: int) -> None:
    writers: list[FileWriter] = []

    async def program() -> None:
        writer = FileWriter(window=1)
        writers.append(writer)
        first = writer.write(tmp_path / "a", b"1")
        try:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            writer.write(tmp_path / "a", b"2")
            writer.write(tmp_path / "b", b"3")
            await getattr(writer, method)()
        finally:
            try:
                await writer.aclose()
            finally:  # cancelled once more
                await writer.aclose()
                assert first.done()

    for step, task in steps_of(program, twice=twice):
        if not writers:
            assert step == 0  # cancelled before it had begun
            continue
        writer = writers.pop()
        stats = writer.stats()
        assert stats.pending == 0
        assert stats.asked == stats.written + stats.merged
        last = b"2" if stats.asked > 1 else b"1"
        assert (tmp_path / "a").read_bytes() == last
        assert task.done()
        assert temporaries_in(tmp_path) == []
        for path in tmp_path.iterdir():
            path.unlink()


def test_closing_goes_on_in_the_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch, held=True)

    async def main() -> None:
        writer = FileWriter(window=100)
        writer.write(tmp_path / "a", b"1")
        closing = asyncio.ensure_future(writer.aclose())
        await asyncio.to_thread(disk.wait)
        closing.cancel()
        await asyncio.wait([closing])
        assert closing.cancelled()
        with pytest.raises(ClosedError):
            writer.write(tmp_path / "a", b"2")
        disk.gate.set()
        await writer.aclose()
        assert disk.contents == [b"1"]

    run(main())


# threads


def test_threads_write_through_the_loop(tmp_path: Path) -> None:
    async def main() -> None:
        async with FileWriter(window=0.01) as writer:
            waiting: list[futures.Future[None]] = []

            def produce(name: str) -> None:
                for i in range(50):
                    waiting.append(writer.write_threadsafe(tmp_path / name, {"n": i}))

            threads = [spawn(produce, f"{i}") for i in range(4)]
            await asyncio.to_thread(lambda: [thread.result() for thread in threads])
            await asyncio.gather(*map(asyncio.wrap_future, waiting))
            stats = writer.stats()
            assert stats.asked == 200 == stats.written + stats.merged
            assert not waiting[0].cancel()

    asyncio.run(main())
    assert [(tmp_path / f"{i}").read_bytes() for i in range(4)] == [b'{"n":49}'] * 4


def test_what_threads_asked_for_before_a_flush_is_flushed(tmp_path: Path) -> None:
    async def main() -> None:
        async with FileWriter(window=100) as writer:
            future = spawn(writer.write_threadsafe, tmp_path / "a", b"1").result()
            await writer.flush()
            assert future.result(0) is None
            other = spawn(writer.write_threadsafe, tmp_path / "b", b"1").result()
        assert other.result(0) is None

    asyncio.run(main())
    assert names_in(tmp_path) == ["a", "b"]


def test_a_thread_that_comes_while_it_closes_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        writer = FileWriter(window=100)
        await writer.flush()
        # It has looked whether it is closed already.
        writer._inbox.append((str(tmp_path / "a"), b"", late := futures.Future()))
        writer._closed = True
        await writer.aclose()
        with pytest.raises(ClosedError):
            late.result(0)

    asyncio.run(main())


def test_threads_need_a_loop_that_lives(tmp_path: Path) -> None:
    writer = FileWriter(window=100)
    with pytest.raises(RuntimeError, match="bound to no event loop yet"):
        writer.write_threadsafe(tmp_path / "a", b"1")
    asyncio.run(writer.flush())
    with pytest.raises(RuntimeError, match="is closed"):
        writer.write_threadsafe(tmp_path / "a", b"2")
    assert not writer._inbox
    asyncio.run(writer.aclose())
    assert names_in(tmp_path) == []


# loops


def test_another_loop_is_refused_while_the_first_one_lives(tmp_path: Path) -> None:
    async def other(writer: FileWriter) -> None:
        for wrong in (writer.flush, writer.aclose, writer.__aenter__):
            with pytest.raises(WrongEventLoop, match="use write_threadsafe"):
                await wrong()
        with pytest.raises(WrongEventLoop):
            writer.write(tmp_path / "a", b"")
        assert not writer.closed

    async def main() -> None:
        async with FileWriter() as writer:
            await asyncio.to_thread(lambda: asyncio.run(other(writer)))
            await writer.write(tmp_path / "b", b"")

    asyncio.run(main())
    assert names_in(tmp_path) == ["b"]


def test_the_next_loop_writes_what_the_first_one_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, held=True)
    writer = FileWriter(window=0)

    async def leave() -> None:
        # Futures that somebody waits for would tell a loop that is closed.
        writer.write(tmp_path / "a", b"1").add_done_callback(print)
        await asyncio.to_thread(disk.wait)  # a thread is at it
        writer.write(tmp_path / "a", b"2").add_done_callback(print)
        writer.write(tmp_path / "b", b"3")
        spawn(writer.write_threadsafe, tmp_path / "c", b"4").wait()

    async def come() -> None:
        assert writer.stats().pending >= 3
        async with writer:
            writer.write(tmp_path / "b", b"5")
            disk.gate.set()
        assert writer.stats().pending == 0

    asyncio.run(leave())
    asyncio.run(come())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a": b"2",
        "b": b"5",
        "c": b"4",
    }


def test_a_write_that_ended_when_its_loop_was_closed_is_counted(tmp_path: Path) -> None:
    writer = FileWriter(window=0)

    async def leave() -> None:
        writer.write(tmp_path / "a", b"1")
        await asyncio.sleep(0.001)

    asyncio.run(leave())
    asyncio.run(writer.aclose())
    stats = writer.stats()
    assert (stats.asked, stats.written, stats.pending) == (1, 1, 0)


def test_what_a_loop_left_has_a_window_in_the_next_one(tmp_path: Path, disk: Disk) -> None:
    writer = FileWriter(window=10)

    async def leave() -> None:
        writer.write(tmp_path / "a", b"1")

    async def come() -> None:
        await writer.flush(tmp_path / "another")
        await asyncio.sleep(9)
        assert not disk.writes
        await asyncio.sleep(2)
        disk.wait()
        await writer.aclose()

    run(leave())
    run(come())
    assert disk.contents == [b"1"]
