"""The thread that resolves the futures of a cluster, and calls what waits for that."""

from __future__ import annotations

from _thread import RLock
from queue import SimpleQueue
from threading import Thread, current_thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Delivery"]


class Delivery:
    """
    Calls things one after the other, in a thread that may be blocked by them.

    A callback that waits for another task must not keep that one from being resolved: the thread
    makes way for a new one before it waits, and ends when it is through.
    """

    __slots__ = ("_active", "_calls", "_is_ending", "_lock", "_threads")

    def __init__(self) -> None:
        # None is the end.
        self._calls: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._lock = RLock()
        self._is_ending = False
        self._active: Thread | None = None
        self._threads: list[Thread] = []

    def start(self) -> None:
        """Begin."""
        self._active = thread = Thread(target=self._run, name="penstock-delivery", daemon=True)
        self._threads.append(thread)
        thread.start()

    def put(self, call: Callable[[], object]) -> None:
        """Call something, soon; here and now after the end."""
        with self._lock:
            if not self._is_ending:
                self._calls.put(call)
                return
        call()

    def end(self) -> None:
        """End when all that was put in has been called."""
        with self._lock:
            self._is_ending = True
            self._calls.put(None)

    def join(self) -> None:
        """Wait for the end."""
        for thread in list(self._threads):
            thread.join()

    def is_here(self) -> bool:
        """Return whether the running thread is one that calls."""
        return current_thread() in self._threads

    def make_way(self) -> None:
        """Let another thread go on, if this is the one that calls: it is going to wait."""
        if current_thread() is self._active:
            self.start()

    def _run(self) -> None:
        here = current_thread()
        try:
            while self._active is here:
                call = self._calls.get()
                if call is None:
                    return
                call()
                del call  # and all that it refers to, while we wait
        finally:
            self._threads.remove(here)
