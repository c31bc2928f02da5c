"""Loads of cached functions: refreshing in the foreground, and behind a stale value."""

from __future__ import annotations

import logging
import os
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from concurrent.futures import Executor
    from datetime import timedelta
    from types import EllipsisType

    from penstock._backend import Cache

__all__ = ["SyncLoads"]

logger = logging.getLogger("penstock.caching")


class _Background:
    """The threads that refresh stale values, and what they are at."""

    __slots__ = ("executor", "pending")

    def __init__(self) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self.executor: Executor = ThreadPoolExecutor(4, thread_name_prefix="penstock-refresh")
        self.pending: dict[tuple[int, Hashable], object] = {}


_background: _Background | None = None


def _forget_background() -> None:
    global _background  # noqa: PLW0603  # threads do not survive a fork
    _background = None


def _get_background() -> _Background:
    global _background  # noqa: PLW0603  # made at first use
    if _background is None:
        _background = _Background()
        os.register_at_fork(after_in_child=_forget_background)
    return _background


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
            except Exception:
                logger.warning("refreshing %r behind a stale value failed", key, exc_info=True)
            finally:
                background.pending.pop(job, None)

        try:
            background.executor.submit(run)
        except RuntimeError:  # the interpreter is shutting down: the stale value has to do
            background.pending.pop(job, None)
