"""Loads of cached functions: refreshing in the foreground, and behind a stale value."""

from __future__ import annotations

import logging
import os
from itertools import count
from queue import SimpleQueue
from threading import Lock, Thread
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from datetime import timedelta
    from types import EllipsisType

    from penstock._backend import Cache

__all__ = ["SyncLoads"]

logger = logging.getLogger("penstock.caching")


class _Background:
    """
    The threads that refresh stale values, and what they are at.

    They are daemons: a source that hangs must not keep the process from ending, as it would in a
    ThreadPoolExecutor.
    """

    __slots__ = ("_jobs", "_threads", "pending")

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._threads = count()
        self.pending: dict[tuple[int, Hashable], object] = {}

    def submit(self, job: Callable[[], None]) -> None:
        """Run *job* in one of four threads; RuntimeError while the interpreter shuts down."""
        if next(self._threads) < _MOST_THREADS:
            Thread(target=self._work, name="penstock-refresh", daemon=True).start()
        self._jobs.put(job)

    def _work(self) -> None:
        while True:
            self._jobs.get()()


_MOST_THREADS = 4
_lock = Lock()
_background: _Background | None = None


def _get_background() -> _Background:
    global _background  # noqa: PLW0603  # made at first use
    if _background is None:
        with _lock:
            if _background is None:
                _background = _Background()
    return _background


def _forget_background() -> None:
    global _background, _lock  # threads do not survive a fork
    _background, _lock = None, Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_background)


class SyncLoads:
    """Loads of one cached function outside its ordinary calls."""

    __slots__ = ("_cache", "_func", "_ttl")

    def __init__(
        self,
        func: Callable[..., object],
        cache: Cache[Hashable, object],
        ttl: float | timedelta | EllipsisType | None,
    ) -> None:
        self._func = func
        self._cache = cache
        self._ttl = ttl

    def refresh(self, key: Hashable, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Load and store; what an older load of the key finds is not stored any more."""
        flight = self._cache._begin(key, True)
        start = perf_counter()
        try:
            value = self._func(*args, **kwargs)
        except BaseException:
            self._cache._abandon(flight, perf_counter() - start)
            raise
        self._cache._commit(flight, value, perf_counter() - start, self._ttl)
        return value

    def on_stale(self, key: Hashable, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        """Refresh in a thread, unless one is at it."""
        background = _get_background()
        token = object()
        job = (id(self), key)
        if background.pending.setdefault(job, token) is not token:
            return

        def run() -> None:
            try:
                self.refresh(key, args, kwargs)
            except BaseException:  # what ends this thread's job must not end the thread
                logger.warning("refreshing %r behind a stale value failed", key, exc_info=True)
            finally:
                background.pending.pop(job, None)

        try:
            background.submit(run)
        except RuntimeError:  # the interpreter is shutting down: the stale value has to do
            background.pending.pop(job, None)
