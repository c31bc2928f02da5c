"""What a pool of connections takes, checked."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from penstock import _backend
from penstock._waiters import seconds_of
from penstock.flow._callables import is_coroutine_function
from penstock.flow._checks import check_int, check_jitter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ["Options", "check_options", "check_sizes"]

C = TypeVar("C")

Seconds = float | timedelta
_PLAIN = ("is_clean", "terminate")


@dataclass(slots=True, kw_only=True)
class Options(Generic[C]):
    """
    The settings of a pool, of which the sizes may change; durations in seconds, None for never.
    """

    factory: Callable[[], Awaitable[C] | C]
    min_size: int
    max_size: int
    acquire_timeout: float | None
    max_waiters: int | None
    max_idle: float | None
    max_lifetime: float | None
    lifetime_jitter: float
    check: Callable[[C], object] | None
    check_after: float
    check_timeout: float
    keepalive: float | None
    reset: Callable[[C], object] | None
    reset_timeout: float
    close: Callable[[C], object]
    terminate: Callable[[C], object]
    is_clean: Callable[[C], object] | None
    max_connecting: int
    connect_timeout: float
    connect_backoff: tuple[float, float]
    leak_after: float | None


def check_options(given: Mapping[str, Any]) -> Options[Any]:
    """
    Return the settings.

    Raises:
        TypeError: One has the wrong type.
        ValueError: One is out of its range.
    """
    for name in ("factory", "check", "reset", "close", *_PLAIN):
        _check_callable(name, given[name])
    low, high = check_sizes(given["min_size"], given["max_size"])
    waiters = given["max_waiters"]
    if given["keepalive"] is not None and given["check"] is None:
        raise ValueError("keepalive needs a check: that is what it calls")
    return Options(
        factory=given["factory"],
        min_size=low,
        max_size=high,
        acquire_timeout=seconds_of(given["acquire_timeout"]),
        max_waiters=None if waiters is None else check_int("max_waiters", waiters, 0),
        max_idle=_maybe("max_idle", given["max_idle"]),
        max_lifetime=_maybe("max_lifetime", given["max_lifetime"]),
        lifetime_jitter=check_jitter("lifetime_jitter", given["lifetime_jitter"]),
        check=given["check"],
        check_after=seconds_of(given["check_after"]) or 0.0,
        check_timeout=_backend.duration("check_timeout", given["check_timeout"]),
        keepalive=_maybe("keepalive", given["keepalive"]),
        reset=given["reset"],
        reset_timeout=_backend.duration("reset_timeout", given["reset_timeout"]),
        close=given["close"] or _close,
        terminate=given["terminate"] or _terminate,
        is_clean=given["is_clean"],
        max_connecting=check_int("max_connecting", given["max_connecting"], 1),
        connect_timeout=_backend.duration("connect_timeout", given["connect_timeout"]),
        connect_backoff=_check_backoff(given["connect_backoff"]),
        leak_after=_maybe("leak_after", given["leak_after"]),
    )


def check_sizes(min_size: object, max_size: object) -> tuple[int, int]:
    """Check how many connections there are at least, and at most."""
    high = check_int("max_size", max_size, 1, 1_000_000)
    low = check_int("min_size", min_size, 0)
    if low > high:
        raise ValueError(f"min_size must be <= max_size ({high}), got {low}")
    return low, high


def _maybe(name: str, value: Seconds | None) -> float | None:
    return None if value is None else _backend.duration(name, value)


def _check_callable(name: str, value: object) -> None:
    if value is None and name != "factory":
        return
    if not callable(value):
        raise TypeError(f"{name} must be callable, got {type(value).__name__}")
    # What has to be done when somebody is cancelled must not be something that can be cancelled.
    if name in _PLAIN and is_coroutine_function(value):
        raise TypeError(f"{name} must be a plain function, got a coroutine function")


def _check_backoff(value: object) -> tuple[float, float]:
    if not isinstance(value, tuple) or len(value) != 2:
        raise TypeError(f"connect_backoff must be (base, cap), got {value!r}")
    base, cap = (_backend.duration("connect_backoff", each) for each in value)
    if cap < base:
        raise ValueError(f"connect_backoff must not end below its base, got {value!r}")
    return base, cap


def _close(raw: object) -> object:
    """Close a connection the way most of them want it; what is returned may be awaitable."""
    close = getattr(raw, "aclose", None) or getattr(raw, "close", None)
    if callable(close):
        return close()
    _terminate(raw)
    return None


def _terminate(raw: object) -> None:
    """Cut a connection off at once, if it can do that."""
    for name in ("terminate", "abort", "close"):
        method = getattr(raw, name, None)
        if callable(method) and not inspect.iscoroutinefunction(method):
            result = method()
            if inspect.iscoroutine(result):
                result.close()
            return
