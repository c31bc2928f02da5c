"""Reading one file, and knowing whether what was read can be told from what comes next."""

from __future__ import annotations

import errno
import io
import os
import stat
from time import time_ns
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Reading", "Signature", "check_regular", "is_settled", "read", "signature_of"]

T = TypeVar("T")

#: When it was last changed, how large it is, its inode and its device.
Signature = tuple[int, int, int, int]

#: A change comes with a time that is a tick of the kernel's clock late: up to 10 ms.
_TICK_NS: Final = 20_000_000
#: Of file systems that keep whole seconds, some of them even ones only.
_SECONDS_NS: Final = 2_000_000_000
_ATTEMPTS: Final = 3
# Not to wait for somebody to write, should it turn out to be a pipe.
_FLAGS: Final = getattr(os, "O_NONBLOCK", 0)


class Reading(NamedTuple, Generic[T]):
    """What was read of a file: *signature* is None if a change of it might go unnoticed."""

    signature: Signature | None
    size: int
    value: T


def signature_of(found: os.stat_result) -> Signature:
    """Return what tells one version of a file from another."""
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev


def is_settled(mtime_ns: int, now_ns: int) -> bool:
    """
    Tell whether a file that changes from now on will show another time of its change.

    Otherwise it may have been read between two changes that look like one ("racily clean", in git).
    """
    grain = _TICK_NS if mtime_ns % 1_000_000_000 else _SECONDS_NS
    return mtime_ns + grain <= now_ns


def check_regular(found: os.stat_result, path: str) -> None:
    """
    Do nothing about an ordinary file.

    Raises:
        OSError: It is something else, which might have no end.
    """
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", path)


def read(path: str, parse: Callable[[bytes], T]) -> Reading[T]:
    """
    Read and parse a file.

    Raises:
        OSError: It cannot be read. Whatever *parse* raises is passed on, with a note.
    """
    signature, data = _read_bytes(path)
    try:
        value = parse(data)
    except StopIteration as error:
        raise RuntimeError(f"parsing {path} raised StopIteration") from error
    except Exception as error:
        error.add_note(f"in the file {path}")
        raise
    return Reading(signature, len(data), value)


def _read_bytes(path: str) -> tuple[Signature | None, bytes]:
    data = b""
    for _ in range(_ATTEMPTS):
        with io.FileIO(path, opener=_open) as file:
            before = os.fstat(file.fileno())
            check_regular(before, path)
            now = time_ns()
            data = file.readall()
            after = os.fstat(file.fileno())
        signature = signature_of(before)
        if signature == signature_of(after) and len(data) == before.st_size:
            return (signature if is_settled(before.st_mtime_ns, now) else None), data
    # Somebody keeps writing into it, or it has no size, as the files of the kernel.
    return None, data


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | _FLAGS)
