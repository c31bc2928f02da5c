"""The replacement of a file, step by step: in order, failing, and killed."""

from __future__ import annotations

import errno
import os
import signal
import stat
from pathlib import Path

import pytest
from tests.filing import temporaries_in
from tests.forks import in_child

from penstock.files import _atomic
from penstock.files._atomic import TEMPORARY, replace_file

STEPS = ("open", "write", "fchmod", "fsync", "close", "replace", "open", "fsync", "close")


def spied(monkeypatch: pytest.MonkeyPatch, fail_at: int | None = None) -> list[str]:
    """Note what is asked of the system; the step with this number fails instead."""
    log: list[str] = []

    def spy(name: str) -> None:
        original = getattr(os, name)

        def call(*args: object, **kwargs: object) -> object:
            log.append(name)
            if fail_at == len(log) - 1:
                if name == "close":
                    original(*args, **kwargs)
                raise OSError(errno.EIO, "told to fail")
            return original(*args, **kwargs)

        monkeypatch.setattr(_atomic.os, name, call)

    for name in dict.fromkeys(STEPS):
        spy(name)
    return log


def test_the_content_is_on_the_disk_before_its_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"old")
    log = spied(monkeypatch)
    replace_file(str(tmp_path / "a"), b"new")
    assert tuple(log) == STEPS
    del log[:]
    replace_file(str(tmp_path / "a"), b"new", fsync=False)
    assert log == ["open", "write", "fchmod", "close", "replace"]


@pytest.mark.parametrize("step", range(len(STEPS)))
def test_whatever_step_fails_the_file_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with monkeypatch.context() as patch:
        spied(patch, step)
        with pytest.raises(OSError, match="told to fail") as caught:
            replace_file(str(path), b"new")
    assert caught.value.filename == str(path)
    # From the sixth on the new name is there; that it survives is what could not be had.
    assert path.read_bytes() == (b"old" if step <= 5 else b"new")
    assert temporaries_in(tmp_path) == []


@pytest.mark.parametrize("step", range(len(STEPS)))
def test_killed_at_any_step_the_file_is_whole(tmp_path: Path, step: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def killed() -> None:
        count = iter(range(100))
        for name in dict.fromkeys(STEPS):
            original = getattr(os, name)

            def call(*args: object, original: object = original, **kwargs: object) -> object:
                if next(count) == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return original(*args, **kwargs)  # type: ignore[operator]

            setattr(os, name, call)
        replace_file(str(path), b"new")

    assert not in_child(killed)
    assert path.read_bytes() == (b"old" if step <= 5 else b"new")
    left = temporaries_in(tmp_path)
    assert len(left) == (1 if 1 <= step <= 5 else 0)
    replace_file(str(path), b"newer")  # what is left is in nobody's way
    assert path.read_bytes() == b"newer"


def test_a_directory_that_cannot_be_synchronised_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synchronise = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not here")
        synchronise(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    replace_file(str(tmp_path / "a"), b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def test_names_of_temporary_files_cannot_be_foreseen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (seen.append(a), replace(a, b)))
    for _ in range(3):
        replace_file(str(tmp_path / "a"), b"new")
    assert len(set(seen)) == 3
    assert all(Path(name).parent == tmp_path for name in seen)
    # Somebody has put a link where it would be: it is not followed.
    monkeypatch.setattr(_atomic.secrets, "token_hex", lambda _: "known")
    (tmp_path / f"{TEMPORARY}known").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        replace_file(str(tmp_path / "a"), b"new")
    assert not (tmp_path / "victim").exists()
