"""How a worker sleeps, and is woken."""

from __future__ import annotations

import os
import sys
from _thread import allocate_lock
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Parker"]

_ONE = (1).to_bytes(8, sys.byteorder)


class Parker:
    """
    Something to sleep on.

    Where there is the GIL, it is an eventfd. One who releases a lock keeps the GIL, for which the
    thread that was woken has to wait at once: five changes of threads for one task. One who writes
    to a file descriptor does not hold the GIL meanwhile: two changes, half the time.

    Neither call runs Python code, so nothing comes in between of what goes before and the wake-up.
    """

    __slots__ = ("_fd", "sleep", "wake")

    #: Sleeps until there was a wake-up since it last slept.
    sleep: Callable[[], object]
    #: Wakes who sleeps, or who will.
    wake: Callable[[], object]

    def __init__(self) -> None:
        self._fd = _open()
        if self._fd is None:
            lock = allocate_lock()
            lock.acquire()
            self.sleep, self.wake = lock.acquire, lock.release
        else:
            self.sleep = partial(os.read, self._fd, 8)
            self.wake = partial(os.write, self._fd, _ONE)

    def close(self) -> None:
        """Give back what was taken for it; nobody uses it any more."""
        fd = getattr(self, "_fd", None)  # a signal handler may have raised in the beginning
        self._fd = None
        if fd is not None:
            os.close(fd)

    def __del__(self) -> None:
        self.close()


def _open() -> int | None:
    has_gil: bool = getattr(sys, "_is_gil_enabled", lambda: True)()
    if not has_gil or not hasattr(os, "eventfd"):
        return None
    try:
        return os.eventfd(0, os.EFD_CLOEXEC)
    except OSError:  # too many files, or not allowed in this sandbox
        return None
