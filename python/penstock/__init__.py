"""Caches, batching, flow control and metrics for asyncio services, with a Rust core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock._backend import BACKEND, build_info
from penstock._lazy import lazy

if TYPE_CHECKING:
    from penstock.batching import (
        Batcher,
        BatcherStats,
        ItemError,
        Loader,
        batched,
    )
    from penstock.caching import (
        Cache,
        CacheStats,
        cached,
    )
    from penstock.errors import (
        AcquireTimeout,
        BatchCancelled,
        BatchSizeMismatch,
        CircuitOpen,
        ClosedError,
        ClusterLost,
        DeadlineExceeded,
        ItemDropped,
        ItemTimeout,
        LimitExceeded,
        PenstockError,
        RecursiveLoad,
        TaskExpired,
        WorkerLost,
        WrongEventLoop,
    )
    from penstock.files import (
        FileCache,
        FileWriter,
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
    from penstock.pools import (
        SqlitePool,
    )
    from penstock.recording import (
        Recorder,
    )

__all__ = [
    "BACKEND",
    "AcquireTimeout",
    "BatchCancelled",
    "BatchSizeMismatch",
    "Batcher",
    "BatcherStats",
    "Cache",
    "CacheStats",
    "CircuitBreaker",
    "CircuitOpen",
    "ClosedError",
    "ClusterLost",
    "DeadlineExceeded",
    "Executor",
    "FileCache",
    "FileWriter",
    "ItemDropped",
    "ItemError",
    "ItemTimeout",
    "LimitExceeded",
    "Limiter",
    "Loader",
    "PenstockError",
    "RateLimiter",
    "Recorder",
    "RecursiveLoad",
    "RetryBudget",
    "SqlitePool",
    "TaskExpired",
    "WorkerLost",
    "WrongEventLoop",
    "__version__",
    "attempts",
    "batched",
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
    "BatchCancelled": "penstock.errors",
    "BatchSizeMismatch": "penstock.errors",
    "Batcher": "penstock.batching",
    "BatcherStats": "penstock.batching",
    "Cache": "penstock.caching",
    "CacheStats": "penstock.caching",
    "CircuitBreaker": "penstock.flow",
    "CircuitOpen": "penstock.errors",
    "ClosedError": "penstock.errors",
    "ClusterLost": "penstock.errors",
    "DeadlineExceeded": "penstock.errors",
    "Executor": "penstock.flow",
    "FileCache": "penstock.files",
    "FileWriter": "penstock.files",
    "ItemDropped": "penstock.errors",
    "ItemError": "penstock.batching",
    "ItemTimeout": "penstock.errors",
    "LimitExceeded": "penstock.errors",
    "Limiter": "penstock.flow",
    "Loader": "penstock.batching",
    "PenstockError": "penstock.errors",
    "RateLimiter": "penstock.flow",
    "Recorder": "penstock.recording",
    "RecursiveLoad": "penstock.errors",
    "RetryBudget": "penstock.flow",
    "SqlitePool": "penstock.pools",
    "TaskExpired": "penstock.errors",
    "WorkerLost": "penstock.errors",
    "WrongEventLoop": "penstock.errors",
    "attempts": "penstock.flow",
    "batched": "penstock.batching",
    "cached": "penstock.caching",
    "deadline": "penstock.flow",
    "hedge": "penstock.flow",
    "map_concurrent": "penstock.flow",
    "remaining": "penstock.flow",
    "retry": "penstock.flow",
}

__getattr__, __dir__ = lazy(__name__, _HOMES)
