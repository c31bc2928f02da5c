"""Flow control: limits, retry, circuit breakers, deadlines, and executors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock._lazy import lazy

if TYPE_CHECKING:
    from penstock.errors import (
        AcquireTimeout,
        CircuitOpen,
        ClusterLost,
        DeadlineExceeded,
        LimitExceeded,
        TaskExpired,
        WorkerLost,
    )
    from penstock.flow._attempt import Attempt, previous_attempts
    from penstock.flow._attempts import attempts
    from penstock.flow._breaker import CircuitBreaker
    from penstock.flow._breaker_stats import CircuitBreakerStats
    from penstock.flow._budget import RetryBudget
    from penstock.flow._deadline import deadline, remaining
    from penstock.flow._executor import Executor, ExecutorStats
    from penstock.flow._executor._cluster import ClusterExecutor
    from penstock.flow._gradient import gradient
    from penstock.flow._hedge import hedge
    from penstock.flow._hedger import HedgeStats
    from penstock.flow._limiter import Limiter
    from penstock.flow._limiter_options import LimiterStats
    from penstock.flow._map import ConcurrentMap, Progress, map_concurrent
    from penstock.flow._policies import Policy, Window, aimd, fixed
    from penstock.flow._rate import RateLimiter, RateLimiterStats
    from penstock.flow._resource_policy import resources
    from penstock.flow._resources import ResourceReading, Resources, effective_cpus
    from penstock.flow._retry import retry
    from penstock.flow._retry_stats import RetryInfo, RetryStats

__all__ = [
    "AcquireTimeout",
    "Attempt",
    "CircuitBreaker",
    "CircuitBreakerStats",
    "CircuitOpen",
    "ClusterExecutor",
    "ClusterLost",
    "ConcurrentMap",
    "DeadlineExceeded",
    "Executor",
    "ExecutorStats",
    "HedgeStats",
    "LimitExceeded",
    "Limiter",
    "LimiterStats",
    "Policy",
    "Progress",
    "RateLimiter",
    "RateLimiterStats",
    "ResourceReading",
    "Resources",
    "RetryBudget",
    "RetryInfo",
    "RetryStats",
    "TaskExpired",
    "Window",
    "WorkerLost",
    "aimd",
    "attempts",
    "deadline",
    "effective_cpus",
    "fixed",
    "gradient",
    "hedge",
    "map_concurrent",
    "previous_attempts",
    "remaining",
    "resources",
    "retry",
]

# Where each name is. Lazy: a worker process of an executor imports its own module from below here,
# and should not wait for the others.
_HOMES = {
    "AcquireTimeout": "penstock.errors",
    "Attempt": "penstock.flow._attempt",
    "CircuitBreaker": "penstock.flow._breaker",
    "CircuitBreakerStats": "penstock.flow._breaker_stats",
    "CircuitOpen": "penstock.errors",
    "ClusterExecutor": "penstock.flow._executor._cluster",
    "ClusterLost": "penstock.errors",
    "ConcurrentMap": "penstock.flow._map",
    "DeadlineExceeded": "penstock.errors",
    "Executor": "penstock.flow._executor",
    "ExecutorStats": "penstock.flow._executor",
    "HedgeStats": "penstock.flow._hedger",
    "LimitExceeded": "penstock.errors",
    "Limiter": "penstock.flow._limiter",
    "LimiterStats": "penstock.flow._limiter_options",
    "Policy": "penstock.flow._policies",
    "Progress": "penstock.flow._map",
    "RateLimiter": "penstock.flow._rate",
    "RateLimiterStats": "penstock.flow._rate",
    "ResourceReading": "penstock.flow._resources",
    "Resources": "penstock.flow._resources",
    "RetryBudget": "penstock.flow._budget",
    "RetryInfo": "penstock.flow._retry_stats",
    "RetryStats": "penstock.flow._retry_stats",
    "TaskExpired": "penstock.errors",
    "Window": "penstock.flow._policies",
    "WorkerLost": "penstock.errors",
    "aimd": "penstock.flow._policies",
    "attempts": "penstock.flow._attempts",
    "deadline": "penstock.flow._deadline",
    "effective_cpus": "penstock.flow._resources",
    "fixed": "penstock.flow._policies",
    "gradient": "penstock.flow._gradient",
    "hedge": "penstock.flow._hedge",
    "map_concurrent": "penstock.flow._map",
    "previous_attempts": "penstock.flow._attempt",
    "remaining": "penstock.flow._deadline",
    "resources": "penstock.flow._resource_policy",
    "retry": "penstock.flow._retry",
}

__getattr__, __dir__ = lazy(__name__, _HOMES)
