"""File writers on a real disk: what is replaced, how, and what happens when it cannot be."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import shutil
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.filing import names_in, temporaries_in
from tests.forks import in_child

from penstock import FileWriter
from penstock.files._atomic import replace_file

IS_ROOT = os.geteuid() == 0
NOBODY = 65534


def write(path: Path | str, data: bytes) -> None:
    """Through the writer, as users do."""

    async def main() -> None:
        async with FileWriter(window=0) as writer:
            await writer.write(path, data)

    asyncio.run(main())


def content_of(path: Path) -> bytes:
    return path.read_bytes()


def as_nobody(work: Callable[[], object]) -> bool:
    """Run *work* in a child for whom permissions count."""

    def child() -> None:
        if IS_ROOT:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        work()

    return in_child(child)


@pytest.fixture
def open_dir(tmp_path: Path) -> Iterator[Path]:
    """A directory that anybody may reach."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        yield Path(name)


def failing(path: Path, error: int) -> None:
    """Replacing *path* has to fail with *error*, and to name it."""
    with pytest.raises(OSError) as caught:
        replace_file(str(path), b"new")
    assert caught.value.errno == error
    assert caught.value.filename == str(path)
    assert caught.value.filename2 is None


# what is replaced


def test_a_new_file_is_made(tmp_path: Path) -> None:
    write(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert names_in(tmp_path) == ["a"]


def test_an_old_file_is_replaced_by_another_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a longer content")
    inode = (tmp_path / "a").stat().st_ino
    with (tmp_path / "a").open("rb") as reader:
        write(tmp_path / "a", b"new")
        assert reader.read() == b"a longer content"  # whoever reads goes on with the old one
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "a").stat().st_ino != inode
    assert names_in(tmp_path) == ["a"]


def test_large_content_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_some = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write_some(fd, data[:1000]))
    data = os.urandom(100_000)
    replace_file(str(tmp_path / "a"), data)
    assert (tmp_path / "a").read_bytes() == data


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o640, 0o777, 0o2755, 0o4755])
def test_permissions_are_kept(tmp_path: Path, mode: int) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a").chmod(mode)
    write(tmp_path / "a", b"new")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000])
def test_a_new_file_has_what_the_umask_leaves(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write(tmp_path / "a", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~mask


@pytest.mark.skipif(not IS_ROOT, reason="only root gives files away")
def test_owner_and_group_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    os.chown(tmp_path / "a", NOBODY, NOBODY)
    (tmp_path / "a").chmod(0o4750)
    write(tmp_path / "a", b"new")
    found = (tmp_path / "a").stat()
    assert (found.st_uid, found.st_gid) == (NOBODY, NOBODY)
    assert stat.S_IMODE(found.st_mode) == 0o4750


@pytest.mark.skipif(not IS_ROOT, reason="only root gives files away")
def test_who_may_not_keep_the_owner_gives_nobody_his_rights(open_dir: Path) -> None:
    (open_dir / "a").write_bytes(b"old")
    (open_dir / "a").chmod(0o6777)
    assert as_nobody(lambda: replace_file(str(open_dir / "a"), b"new"))
    found = (open_dir / "a").stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (NOBODY, 0o777)


def test_nobody_else_may_read_it_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a").chmod(0o600)
    modes = []
    write_it = os.write

    def spy(descriptor: int, data: bytes) -> int:
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return write_it(descriptor, data)

    monkeypatch.setattr(os, "write", spy)
    replace_file(str(tmp_path / "a"), b"new")
    assert modes == [0o600]


# symlinks


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("dangling", [True, False])
def test_what_a_symlink_points_to_is_replaced(
    tmp_path: Path, relative: bool, dangling: bool
) -> None:
    target = tmp_path / "below" / "target"
    target.parent.mkdir()
    if not dangling:
        target.write_bytes(b"old")
    first, second = tmp_path / "first", tmp_path / "below" / "second"
    first.symlink_to("below/second" if relative else second)
    second.symlink_to("../below/target" if relative else target)
    write(first, b"new")
    assert target.read_bytes() == b"new"
    assert first.is_symlink()
    assert second.is_symlink()
    assert not target.is_symlink()
    assert names_in(target.parent) == ["second", "target"]


def test_a_circle_of_symlinks_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    failing(tmp_path / "a", errno.ELOOP)


def test_a_symlink_into_nowhere_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("none/b")
    failing(tmp_path / "a", errno.ENOENT)
    assert names_in(tmp_path) == ["a"]


def test_a_directory_behind_a_symlink_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "real" / "x").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real/x")
    write(tmp_path / "link" / ".." / "a", b"new")  # the parent of x, not of the link
    assert names_in(tmp_path / "real") == ["a", "x"]


# what cannot be replaced


def test_a_directory_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    failing(tmp_path / "a", errno.EISDIR)
    assert names_in(tmp_path) == ["a"]


def test_a_missing_directory_is_not_made(tmp_path: Path) -> None:
    failing(tmp_path / "none" / "a", errno.ENOENT)
    (tmp_path / "file").write_bytes(b"")
    failing(tmp_path / "file" / "a", errno.ENOTDIR)


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    failing(tmp_path / "pipe", errno.EINVAL)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    failing(Path("/dev/null"), errno.EINVAL)


def test_a_name_that_is_too_long_is_an_error_and_the_longest_is_not(tmp_path: Path) -> None:
    failing(tmp_path / ("a" * 256), errno.ENAMETOOLONG)
    write(tmp_path / ("a" * 255), b"new")
    assert names_in(tmp_path) == ["a" * 255]


def test_a_read_only_file_is_not_replaced(open_dir: Path) -> None:
    path = open_dir / "a"
    path.write_bytes(b"old")
    path.chmod(0o444)
    if IS_ROOT:
        os.chown(path, NOBODY, NOBODY)
    assert as_nobody(lambda: failing(path, errno.EACCES))
    assert path.read_bytes() == b"old"
    assert names_in(open_dir) == ["a"]


def test_a_read_only_directory_is_an_error(open_dir: Path) -> None:
    (open_dir / "a").write_bytes(b"old")
    (open_dir / "a").chmod(0o666)
    open_dir.chmod(0o555)
    assert as_nobody(lambda: failing(open_dir / "a", errno.EACCES))
    assert as_nobody(lambda: failing(open_dir / "b", errno.EACCES))
    assert (open_dir / "a").read_bytes() == b"old"
    open_dir.chmod(0o755)


def test_a_directory_removed_meanwhile_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()

    async def main() -> None:
        async with FileWriter(window=100) as writer:
            future = writer.write(folder / "a", b"1")
            folder.rmdir()
            with pytest.raises(FileNotFoundError):
                await writer.flush()
            assert isinstance(future.exception(), FileNotFoundError)
            folder.mkdir()
            writer.write(folder / "a", b"2")

    asyncio.run(main())
    assert (folder / "a").read_bytes() == b"2"


def full_disk(path: Path) -> None:
    """As a full disk does: what is written beyond some bytes fails."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    async def main() -> None:
        async with FileWriter(window=0) as writer:
            with pytest.raises(OSError) as caught:
                await writer.write(path, b"x" * 2000)
            assert caught.value.errno == errno.EFBIG
            assert content_of(path) == b"old"
            await writer.write(path, b"y" * 900)

    asyncio.run(main())


def test_what_does_not_fit_leaves_the_old_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    assert in_child(lambda: full_disk(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == b"y" * 900
    assert names_in(tmp_path) == ["a"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    mount, folder = shutil.which("mount"), tmp_path / "small"
    folder.mkdir()
    command = f"{mount} -t tmpfs -o size=64k tmpfs {folder} 2>/dev/null"
    if not (IS_ROOT and mount and sys.platform == "linux" and os.system(command) == 0):
        pytest.skip("no file system can be mounted here")
    yield folder
    assert os.system(f"umount {folder}") == 0


def test_a_full_disk_leaves_the_old_content(small_disk: Path) -> None:
    async def main() -> None:
        async with FileWriter(window=0) as writer:
            await writer.write(small_disk / "a", b"old")
            with pytest.raises(OSError) as caught:
                await writer.write(small_disk / "a", b"x" * 100_000)
            assert caught.value.errno == errno.ENOSPC
            assert caught.value.filename == str(small_disk / "a")
            assert (small_disk / "a").read_bytes() == b"old"
            assert temporaries_in(small_disk) == []
            await writer.write(small_disk / "a", b"y" * 30_000)  # there is room for both
            assert (small_disk / "a").read_bytes() == b"y" * 30_000

    asyncio.run(main())
