"""What the twins of flow control share: their lock, their clock, and who holds something."""

import operator
import os
import sys
from collections.abc import Awaitable, Callable
from threading import RLock, get_ident
from time import monotonic_ns
from typing import Final, Generic, SupportsIndex, TypeVar, cast

from penstock._pure.convert import MAX_SIZE, read_timer, type_name
from penstock._pure.ready import Ready

__all__ = ["LOCK", "Holdings", "check_count", "current_holder", "done", "read_clock"]

T = TypeVar("T")

#: Held for a few statements at a time, never while a caller's code runs. It is re-entrant because a
#: finalizer or a signal handler may come in between. So every change is prepared first, then
#: checked and made in a stretch of code without a call and without an allocation of a container, in
#: which neither can start: a "commit".
LOCK: Final = RLock()

if hasattr(os, "register_at_fork"):
    # No other thread is halfway through a change when a process is forked, and the child's copy
    # of the lock is free.
    os.register_at_fork(
        before=LOCK.acquire, after_in_parent=LOCK.release, after_in_child=LOCK.release
    )

#: Where a timer's zero lies on the scale on which every reading is positive.
_ZERO: Final = 400_000_000_000_000_000


def done() -> Awaitable[None]:
    """Return what is awaited without anything to wait for."""
    return cast("Awaitable[None]", Ready(None))


def read_clock(timer: Callable[[], float] | None) -> int:
    """Return nanoseconds, monotonic or from the caller's timer; it may run the caller's code."""
    return monotonic_ns() if timer is None else max(read_timer(timer) + _ZERO, 0)


def current_holder() -> int:
    """Return what stands for the running task, or for the thread when none runs in it."""
    # Without asyncio, which is slow to import, there is no task.
    current_task = getattr(sys.modules.get("asyncio.tasks"), "current_task", None)
    if current_task is not None:
        try:
            task = current_task()
        except RuntimeError:  # no event loop runs here
            task = None
        if task is not None:
            return id(task)
    return get_ident()


class Holdings(Generic[T]):
    """What tasks and threads hold, in the order in which they got it; it runs under the lock."""

    __slots__ = ("_all",)

    def __init__(self) -> None:
        #: Replaced, never changed.
        self._all: tuple[tuple[int, T], ...] = ()

    def __len__(self) -> int:
        return len(self._all)

    def add(self, holder: int, what: T) -> None:
        """Note that somebody holds something from now on."""
        entry = (holder, what)
        longer: tuple[tuple[int, T], ...] = ()
        seen = None
        while seen is not self._all:
            seen = self._all
            longer = (*seen, entry)
        # Commit: no call in here since the last look.
        self._all = longer

    def take(self, holder: int) -> T | None:
        """Forget what somebody got last, and return it."""
        return self._remove(lambda entries: _last_of(holder, entries))

    def take_first(self) -> T | None:
        """Forget what was got first, whoever has it, and return it."""
        return self._remove(lambda entries: 0 if entries else None)

    def _remove(self, find: Callable[[tuple[tuple[int, T], ...]], int | None]) -> T | None:
        found: T | None = None
        rest: tuple[tuple[int, T], ...] = ()
        seen = None
        while seen is not self._all:
            seen = self._all
            at = find(seen)
            found = None if at is None else seen[at][1]
            rest = seen if at is None else seen[:at] + seen[at + 1 :]
        # Commit: no call in here since the last look.
        self._all = rest
        return found


def _last_of(holder: int, entries: tuple[tuple[int, object], ...]) -> int | None:
    """Return the index of the last entry of somebody."""
    for at in range(len(entries) - 1, -1, -1):
        if entries[at][0] == holder:
            return at
    return None


def check_count(value: object, name: str) -> int:
    """Convert an int of at least 1."""
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise TypeError(f"{name} must be an int, got {type_name(value)}")
    count = operator.index(value)
    if count < 1:
        raise ValueError(f"{name} must be >= 1, got {value!r}")
    if count > MAX_SIZE:
        raise ValueError(f"{name} must be <= {MAX_SIZE}, got {value!r}")
    return count
