"""File writers: which content is written when, and what those are told who wait."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.filing import Disk
from tests.steps import now, run

from penstock import FileWriter
from penstock.files import FileWriterStats
from penstock.metrics import generate_latest

if TYPE_CHECKING:
    pass


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


# windows


def test_the_last_write_of_a_window_is_the_only_one(tmp_path: Path, disk: Disk) -> None:
    async def main() -> None:
        async with FileWriter(window=0.1) as writer:
            futures = [writer.write(tmp_path / "a", b"%d" % i) for i in range(1000)]
            assert not disk.writes
            await asyncio.gather(*futures)
            assert disk.contents == [b"999"]
            assert writer.stats().merged == 999
        assert disk.contents == [b"999"]

    run(main())
    assert (tmp_path / "a").read_bytes() == b"999"


def test_a_window_begins_with_its_first_write(tmp_path: Path, disk: Disk) -> None:
    async def main() -> None:
        async with FileWriter(window=1.0) as writer:
            start = now()
            first = writer.write(tmp_path / "a", b"1")
            await asyncio.sleep(0.75)
            second = writer.write(tmp_path / "a", b"2")  # does not put it off
            await asyncio.sleep(0.20)
            assert not disk.writes
            await asyncio.gather(first, second)
            assert now() - start == pytest.approx(1.0)
            assert disk.contents == [b"2"]
            third = writer.write(tmp_path / "a", b"3")
            await third
            assert now() - start == pytest.approx(2.0)
            assert disk.contents == [b"2", b"3"]

    run(main())


def test_each_path_has_a_window_of_its_own(tmp_path: Path, disk: Disk) -> None:
    async def main() -> None:
        async with FileWriter(window=1.0) as writer:
            writer.write(tmp_path / "a", b"1")
            await asyncio.sleep(0.5)
            other = writer.write(tmp_path / "b", b"2")
            await asyncio.sleep(0.4)
            assert not disk.writes
            await asyncio.sleep(0.2)
            disk.wait()
            assert len(disk.writes) == 1
            await other
            assert [Path(path).name for path, _ in disk.writes] == ["a", "b"]

    run(main())


def test_a_window_of_zero_is_one_tick(tmp_path: Path, disk: Disk) -> None:
    async def main() -> None:
        async with FileWriter(window=0) as writer:
            start = now()
            writer.write(tmp_path / "a", b"1")
            await writer.write(tmp_path / "a", b"2")
            assert (now(), disk.contents) == (start, [b"2"])

    run(main())


def test_a_write_while_the_disk_is_busy_waits_for_a_window_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, held=True)

    async def main() -> None:
        async with FileWriter(window=1000) as writer:
            writer.write(tmp_path / "a", b"1")
            flushing = asyncio.ensure_future(writer.flush())
            await asyncio.to_thread(disk.wait)
            writer.write(tmp_path / "a", b"2")
            assert writer.stats().pending == 2
            disk.gate.set()
            await flushing
            assert writer.stats().pending == 1
            writer.write(tmp_path / "a", b"3")
            assert writer.stats().merged == 1  # it was still to come
        assert disk.contents == [b"1", b"3"]

    asyncio.run(main())


def test_a_path_is_never_written_twice_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, held=True)

    async def main() -> None:
        async with FileWriter(window=1.0) as writer:
            futures = [writer.write(tmp_path / "a", b"1")]
            await asyncio.sleep(1.5)
            disk.wait()
            futures += [writer.write(tmp_path / "a", b"2")]
            await asyncio.sleep(5)  # its window is over
            futures += [writer.write(tmp_path / "a", b"3")]
            flushing = asyncio.ensure_future(writer.flush())
            await asyncio.sleep(1)
            assert disk.contents == [b"1"]
            disk.gate.set()
            await asyncio.gather(*futures, flushing)
            assert disk.contents == [b"1", b"3"]
            assert disk.peak == 1

    run(main())


def test_many_paths_share_a_few_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch, held=True)

    async def main() -> None:
        async with FileWriter(window=0, max_workers=3) as writer:
            futures = [writer.write(tmp_path / f"{i}", b"%d" % i) for i in range(100)]
            await asyncio.sleep(0.01)
            for _ in range(3):
                disk.wait()
            disk.gate.set()
            await asyncio.gather(*futures)
            assert disk.peak == 3
            assert writer.stats().written == 100

    run(main())
    assert all((tmp_path / f"{i}").read_bytes() == b"%d" % i for i in range(100))


def test_different_names_of_one_path_are_one(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = str(tmp_path)

    async def main() -> None:
        async with FileWriter() as writer:
            names = ["a", "./a", Path("a"), b"a", f"{folder}/a", f"{folder}/./a", f"{folder}//a"]
            for number, name in enumerate(names):
                writer.write(name, b"%d" % number)
            monkeypatch.chdir("/")  # the directory of the time of the write counts
            await writer.flush()

    run(main())
    assert disk.writes == [(f"{folder}/a", b"6")]


# content


@pytest.mark.parametrize(
    ("data", "written"),
    [
        (b"\xff\x00", b"\xff\x00"),
        (bytearray(b"x"), b"x"),
        (memoryview(b"xyz")[::2], b"xz"),
        ("é", "é".encode("latin-1")),
        ("", b""),
        ({"b": [1, None], "a": 1.5}, b'{"b":[1,null],"a":1.5}'),
        ([], b"[]"),
        (None, b"null"),
    ],
)
def test_what_is_written(tmp_path: Path, data: object, written: bytes) -> None:
    async def main() -> None:
        async with FileWriter(encoding="latin-1") as writer:
            writer.write(tmp_path / "a", data)

    run(main())
    assert (tmp_path / "a").read_bytes() == written


def test_content_is_that_of_the_time_of_the_write(tmp_path: Path) -> None:
    async def main() -> None:
        async with FileWriter() as writer:
            record, buffer = {"n": 1}, bytearray(b"1")
            writer.write(tmp_path / "a", record)
            writer.write(tmp_path / "b", buffer)
            record["n"] = 2
            buffer[0] = 50

    run(main())
    assert (tmp_path / "a").read_bytes() == b'{"n":1}'
    assert (tmp_path / "b").read_bytes() == b"1"


def test_what_cannot_be_encoded_is_told_at_once_and_changes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with FileWriter(encoding="ascii") as writer:
            kept = writer.write(tmp_path / "a", "good")
            for data, error in (
                ("é", UnicodeEncodeError),
                ({1, 2}, TypeError),
                (object, TypeError),
            ):
                with pytest.raises(error):
                    writer.write(tmp_path / "a", data)
            await kept
            assert writer.stats().asked == 1

    run(main())
    assert (tmp_path / "a").read_bytes() == b"good"


@pytest.mark.parametrize(
    ("path", "error"), [("", ValueError), ("a\0b", ValueError), (3, TypeError), (None, TypeError)]
)
def test_what_is_no_path_is_told_at_once(path: str, error: type[Exception]) -> None:
    async def main() -> None:
        async with FileWriter() as writer:
            with pytest.raises(error):
                writer.write(path, b"")
            assert writer.stats() == FileWriterStats()

    run(main())


def test_fsync_can_be_left_out(tmp_path: Path, disk: Disk) -> None:
    async def main() -> None:
        for fsync in (True, False):
            async with FileWriter(fsync=fsync) as writer:
                writer.write(tmp_path / "a", b"")

    run(main())
    assert disk.fsync == [True, False]


# figures and options


def test_every_write_is_counted_as_one_thing(tmp_path: Path) -> None:
    async def main() -> None:
        async with FileWriter(name="counted writer") as writer:
            writer.write(tmp_path / "a", b"123")
            writer.write(tmp_path / "a", b"1234")
            writer.write(tmp_path / "b", b"12")
            failing = writer.write(tmp_path / "c" / "d", b"")
            assert writer.stats() == FileWriterStats(asked=4, merged=1, pending=3)
            with pytest.raises(FileNotFoundError):
                await failing
            await writer.flush()
            stats = writer.stats()
            assert (stats.asked, stats.written, stats.merged, stats.failed) == (4, 2, 1, 1)
            assert (stats.pending, stats.bytes) == (0, 6)
            assert stats.write_seconds > 0
            page = generate_latest().decode()
            assert 'penstock_file_writer_written_total{name="counted writer"} 2.0' in page

    run(main())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"window": -1}, ValueError),
        ({"window": float("nan")}, ValueError),
        ({"window": "1"}, TypeError),
        ({"window": False}, TypeError),
        ({"encoding": "no such"}, LookupError),
        ({"encoding": None}, TypeError),
        ({"max_workers": 0}, ValueError),
        ({"max_workers": 1.5}, TypeError),
        ({"name": 3}, TypeError),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        FileWriter(**options)  # type: ignore[arg-type]


def test_it_shows_what_it_is() -> None:
    writer = FileWriter(window=0.5, name="state")
    assert repr(writer) == "FileWriter(window=0.5, name='state')"
    assert (writer.window, writer.name, writer.closed) == (0.5, "state", False)
    with pytest.raises(RuntimeError, match="no running event loop: use write_threadsafe"):
        writer.write("a", b"")
