"""Caches, flow control and metrics for asyncio services, with a Rust core."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from penstock._backend import BACKEND, build_info

if TYPE_CHECKING:
    from penstock.caching import Cache, CacheStats, cached
    from penstock.errors import (
        AcquireTimeout,
        CircuitOpen,
        ClosedError,
        ClusterLost,
        DeadlineExceeded,
        LimitExceeded,
        PenstockError,
        RecursiveLoad,
        TaskExpired,
        WorkerLost,
    )
    from penstock.flow import (
        CircuitBreaker,
        Executor,
        Limiter,
        RateLimiter,
        RetryBudget,
        attempts,
        deadline,
        hedge,
        map_concurrent,
        remaining,
        retry,
    )

__all__ = [
    "BACKEND",
    "AcquireTimeout",
    "Cache",
    "CacheStats",
    "CircuitBreaker",
    "CircuitOpen",
    "ClosedError",
    "ClusterLost",
    "DeadlineExceeded",
    "Executor",
    "LimitExceeded",
    "Limiter",
    "PenstockError",
    "RateLimiter",
    "RecursiveLoad",
    "RetryBudget",
    "TaskExpired",
    "WorkerLost",
    "__version__",
    "attempts",
    "build_info",
    "cached",
    "deadline",
    "hedge",
    "map_concurrent",
    "remaining",
    "retry",
]

__version__ = "0.1.0"

# Where each name is; a module is imported when its first name is asked for.
_HOMES = {
    "AcquireTimeout": "penstock.errors",
    "Cache": "penstock.caching",
    "CacheStats": "penstock.caching",
    "CircuitBreaker": "penstock.flow",
    "CircuitOpen": "penstock.errors",
    "ClosedError": "penstock.errors",
    "ClusterLost": "penstock.errors",
    "DeadlineExceeded": "penstock.errors",
    "Executor": "penstock.flow",
    "LimitExceeded": "penstock.errors",
    "Limiter": "penstock.flow",
    "PenstockError": "penstock.errors",
    "RateLimiter": "penstock.flow",
    "RecursiveLoad": "penstock.errors",
    "RetryBudget": "penstock.flow",
    "TaskExpired": "penstock.errors",
    "WorkerLost": "penstock.errors",
    "attempts": "penstock.flow",
    "cached": "penstock.caching",
    "deadline": "penstock.flow",
    "hedge": "penstock.flow",
    "map_concurrent": "penstock.flow",
    "remaining": "penstock.flow",
    "retry": "penstock.flow",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        message = f"module 'penstock' has no attribute {name!r}"
        raise AttributeError(message)
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
