"""The one lock of all metrics."""

import os
from threading import RLock
from typing import Final

__all__ = ["LOCK"]

#: Held for a few statements at a time, never while a caller's code runs. It is re-entrant because a
#: finalizer or a signal handler may use a metric from within an operation on it; between a read and
#: the write that depends on it there is therefore no call and no allocation of a container.
LOCK: Final = RLock()

if hasattr(os, "register_at_fork"):
    # No other thread is halfway through a change when a process is forked, and the child's copy
    # of the lock is free.
    os.register_at_fork(
        before=LOCK.acquire, after_in_parent=LOCK.release, after_in_child=LOCK.release
    )
