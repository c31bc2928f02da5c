"""How a thread sleeps, and is woken."""

from _thread import allocate_lock
from threading import TIMEOUT_MAX

__all__ = ["Parker"]


class Parker:
    """
    Something for one thread to sleep on.
    """

    __slots__ = ("_is_woken", "_lock")

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()
        # Filled by who wakes, emptied by who sleeps, each in one step: waking twice is waking once.
        self._is_woken: list[bool] = [False]

    def wake(self) -> None:
        """
        Let the one who sleeps here go on, or who will.
        """
        try:
            self._is_woken.pop()
        except IndexError:
            return
        self._lock.release()

    def sleep(self) -> None:
        """
        Sleep until somebody wakes it; nothing interrupts that.
        """
        self._lock.acquire()
        self._is_woken.append(False)

    def wait(self, seconds: float) -> bool:
        """
        Sleep until somebody wakes it or *seconds* have passed; a negative number is for ever.
        """
        timeout = -1.0 if seconds < 0 else min(seconds, TIMEOUT_MAX)
        if not self._lock.acquire(timeout=timeout):
            return False
        self._is_woken.append(False)
        return True
