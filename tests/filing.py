"""What tests of files share: disks and parsers that wait to be told, and the age of files."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.threads import LIMIT

from penstock.files import _disk
from penstock.files._atomic import TEMPORARY, replace_file

if TYPE_CHECKING:
    import pytest

__all__ = ["Disk", "Parser", "age", "names_in", "rewrite", "temporaries_in"]


def names_in(folder: Path) -> list[str]:
    """The names in a directory."""
    return sorted(path.name for path in folder.iterdir())


def temporaries_in(folder: Path) -> list[str]:
    """The names of temporary files that are left."""
    return [name for name in names_in(folder) if name.startswith(TEMPORARY)]


class Disk:
    """Takes the place of `replace_file`: counts, and may wait or fail first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, held: bool = False) -> None:
        #: What was written, in order.
        self.writes: list[tuple[str, bytes]] = []
        self.fsync: list[bool] = []
        self.error: BaseException | None = None
        #: Is set when a write has begun, and lets it go on.
        self.begun = threading.Semaphore(0)
        self.gate = threading.Event()
        if not held:
            self.gate.set()
        self._lock = threading.Lock()
        self._inside = 0
        self.peak = 0
        monkeypatch.setattr(_disk, "replace_file", self._replace)

    @property
    def contents(self) -> list[bytes]:
        """What was written, without the names."""
        return [data for _, data in self.writes]

    def wait(self) -> None:
        """Wait until one more write has begun."""
        assert self.begun.acquire(timeout=LIMIT)

    def _replace(self, path: str, data: bytes, *, fsync: bool) -> None:
        with self._lock:
            self._inside += 1
            self.peak = max(self.peak, self._inside)
            self.writes.append((path, data))
            self.fsync.append(fsync)
        try:
            self.begun.release()
            assert self.gate.wait(LIMIT)
            if self.error is not None:
                raise self.error
            replace_file(path, data, fsync=False)
        finally:
            with self._lock:
                self._inside -= 1


def age(path: Path, seconds: float = 100.5) -> None:
    """Let a file have been changed some time ago, so that it can be kept."""
    then = time.time_ns() - int(seconds * 1e9)
    then -= then % 1_000_000_000 - 500_000_000  # not a whole second
    os.utime(path, ns=(then, then))


def rewrite(path: Path, text: str) -> None:
    """Write into a file that is there, as it should not be done."""
    path.write_text(text)


class Parser:
    """Takes the place of a parser: counts, and may wait or fail first."""

    def __init__(self, *, held: bool = False) -> None:
        self.calls: list[bytes] = []
        self.threads: set[int] = set()
        self.error: BaseException | None = None
        #: Is set when a call has begun, and lets it go on.
        self.begun = threading.Semaphore(0)
        self.gate = threading.Event()
        if not held:
            self.gate.set()

    def __call__(self, data: bytes) -> str:
        self.calls.append(data)
        self.threads.add(threading.get_ident())
        self.begun.release()
        assert self.gate.wait(LIMIT)
        if self.error is not None:
            raise self.error
        return data.decode()

    def wait(self) -> None:
        """Wait until one more call has begun."""
        assert self.begun.acquire(timeout=LIMIT)
