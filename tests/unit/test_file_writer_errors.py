"""File writers: what is told to whom when a file cannot be written, and deadlines."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.filing import Disk
from tests.steps import run

from penstock import FileWriter, deadline
from penstock.errors import DeadlineExceeded

if TYPE_CHECKING:
    from collections.abc import Awaitable


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_each_who_waits_gets_an_error_of_its_own(tmp_path: Path) -> None:
    async def main() -> None:
        async with FileWriter() as writer:
            futures = [writer.write(tmp_path / "none" / "a", b"") for _ in range(3)]
            results = await asyncio.gather(*futures, return_exceptions=True)
            assert all(type(error) is FileNotFoundError for error in results)
            assert len({id(error) for error in results}) == 3
            assert {error.filename for error in results} == {str(tmp_path / "none" / "a")}
            assert (writer.stats().failed, writer.stats().merged) == (1, 2)

    run(main())


def test_an_error_that_nobody_awaits_is_said_once(tmp_path: Path) -> None:
    reports: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reports.append(context["message"]))
        async with FileWriter(max_workers=1) as writer:
            for _ in range(5):
                writer.write(tmp_path / "none" / "a", b"")
            await writer.write(tmp_path / "b", b"")  # by the same thread
        gc.collect()

    asyncio.run(main())
    assert reports == ["Future exception was never retrieved"]


def test_after_a_failure_the_next_write_may_succeed(tmp_path: Path, disk: Disk) -> None:
    async def main() -> None:
        async with FileWriter() as writer:
            disk.error = OSError(28, "No space left on device")
            with pytest.raises(OSError, match="No space"):
                await writer.write(tmp_path / "a", b"1")
            disk.error = None
            await writer.write(tmp_path / "a", b"2")

    run(main())
    assert (tmp_path / "a").read_bytes() == b"2"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError()])
def test_whatever_is_raised_nobody_waits_for_ever(
    tmp_path: Path, disk: Disk, error: BaseException
) -> None:
    disk.error = error

    async def main() -> None:
        writer = FileWriter()
        future = writer.write(tmp_path / "a", b"1")
        await asyncio.wait([future])
        assert future.exception() is not None
        await writer.aclose()

    run(main())


def test_no_more_threads_is_an_error_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with FileWriter() as writer:
            monkeypatch.setattr("penstock.files._disk.Executor", _no_threads)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                await writer.write(tmp_path / "a", b"1")
            monkeypatch.undo()
            await writer.write(tmp_path / "a", b"2")

    run(main())
    assert (tmp_path / "a").read_bytes() == b"2"


def _no_threads(*_: object, **__: object) -> None:
    raise RuntimeError("can't start new thread")


# the deadline of who writes


def test_what_was_accepted_is_written_after_the_deadline(tmp_path: Path, disk: Disk) -> None:
    async def main() -> None:
        async with FileWriter(window=1.0) as writer:
            with deadline(0.1):
                future = writer.write(tmp_path / "a", b"1")
            await asyncio.sleep(0.5)
            await future

    run(main())
    assert disk.contents == [b"1"]


@pytest.mark.parametrize("method", ["flush", "aclose"])
def test_waiting_ends_with_the_deadline_and_the_write_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    disk = Disk(monkeypatch, held=True)

    async def main() -> None:
        writer = FileWriter(window=1.0)
        future = writer.write(tmp_path / "a", b"1")
        waiting: Awaitable[None] = getattr(writer, method)()
        with deadline(2.0), pytest.raises(DeadlineExceeded):
            await waiting
        disk.gate.set()
        await future
        await writer.aclose()

    run(main())
    assert disk.contents == [b"1"]
