"""The replacement of one file: whoever looks sees the old content or the new one, never a part."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from typing import Final

__all__ = ["TEMPORARY", "replace_file"]

#: How the names of temporary files begin; one that is left was being written when the process died.
TEMPORARY: Final = ".penstock-"

_MAX_LINKS: Final = 40
_FLAGS: Final = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_BINARY", 0)
)
#: What file systems say that cannot synchronise a directory.
_NO_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF})


def replace_file(path: str, data: bytes, *, fsync: bool = True) -> None:
    """
    Replace the content of a file, or make it, in one step.

    The data is on the disk, and with *fsync* its name is, too, when this returns. When it raises
    nothing has changed, but for a failure of the very last step: that of the directory.

    Args:
        path: What a symlink points to is replaced, not the link. Permissions are kept, and owner
            and group where that is allowed; a new file gets what the umask leaves.
        data: The whole content.
        fsync: Whether it has to survive a loss of power.

    Raises:
        OSError: It cannot be done; its ``filename`` is *path*.
    """
    try:
        _replace(path, data, fsync)
    except OSError as error:
        # Not that of the temporary file, which is of no use to anybody.
        error.filename, error.filename2 = path, None
        raise


def _replace(path: str, data: bytes, fsync: bool) -> None:
    target = _target_of(path)
    old = _check(target)
    directory = os.path.dirname(target)
    temporary = os.path.join(directory, TEMPORARY + secrets.token_hex(8))
    # Until it has the permissions of the old file nobody else may read it.
    descriptor = os.open(temporary, _FLAGS, 0o666 if old is None else 0o600)
    try:
        try:
            _write_all(descriptor, data)
            if old is not None:
                _inherit(descriptor, old)
            if fsync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    if fsync:
        _sync_directory(directory)


def _target_of(path: str) -> str:
    """Follow symlinks, to something that need not be there."""
    target = path
    for _ in range(_MAX_LINKS):
        try:
            link = os.readlink(target)
        except (OSError, ValueError):  # no link, or nothing there
            return target
        target = os.path.join(os.path.dirname(target), link)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _check(target: str) -> os.stat_result | None:
    """Return what is there, None if nothing; raise if that may not be replaced."""
    try:
        old = os.lstat(target)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(old.st_mode):
        # A device would be replaced by an ordinary file, for everybody.
        raise OSError(errno.EINVAL, "not a regular file")
    # The directory may allow it all the same, but whoever made it read-only did not mean that.
    if not os.access(target, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return old


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _inherit(descriptor: int, old: os.stat_result) -> None:
    """Give the new file the owner, the group and the permissions of the old one."""
    if not hasattr(os, "fchmod"):
        return
    mode = stat.S_IMODE(old.st_mode)
    new = os.fstat(descriptor)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.fchown(descriptor, old.st_uid, old.st_gid)
        except PermissionError:
            with suppress(PermissionError):
                os.fchown(descriptor, -1, old.st_gid)
            # It must not run as somebody else than before.
            mode &= ~(stat.S_ISUID | stat.S_ISGID)
    # Last: a change of the owner takes some of them away.
    os.fchmod(descriptor, mode)


def _sync_directory(directory: str) -> None:
    flag = getattr(os, "O_DIRECTORY", None)
    if flag is None:  # where directories cannot be opened
        return
    descriptor = os.open(directory or ".", os.O_RDONLY | flag | getattr(os, "O_CLOEXEC", 0))
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)
