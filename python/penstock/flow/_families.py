"""What metrics show of limiters, breakers, retried functions and executors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from penstock._components import FieldType

__all__ = [
    "BREAKER_FIELDS",
    "EXECUTOR_FIELDS",
    "HEDGE_FIELDS",
    "LIMITER_FIELDS",
    "RATE_LIMITER_FIELDS",
    "RETRY_FIELDS",
]

Fields = tuple[tuple[str, "FieldType", str], ...]

_LINE: Final[Fields] = (
    ("waiting", "gauge", "How many wait in line."),
    ("acquired", "counter", "How often was let in, at once or after a wait."),
    ("waited", "counter", "How many had to get in line."),
    ("rejected", "counter", "How many were turned away because the line was full."),
    ("timeouts", "counter", "How many left the line because their time was over."),
    ("cancelled", "counter", "How many left the line because they were cancelled."),
    ("wait_seconds", "counter", "Time that those waited who then got in."),
)

LIMITER_FIELDS: Final[Fields] = (
    ("limit", "gauge", "Permits there are."),
    ("in_use", "gauge", "Permits that are held."),
    *_LINE,
    ("latency_short", "gauge", "Latency in seconds that an adaptive limit saw last."),
    ("latency_long", "gauge", "Latency in seconds that it compares that with."),
)

RATE_LIMITER_FIELDS: Final[Fields] = (
    ("rate", "gauge", "How many may begin in a second."),
    ("burst", "gauge", "How many of them at once."),
    ("available", "gauge", "How many could begin now."),
    *_LINE,
)

BREAKER_FIELDS: Final[Fields] = (
    ("open", "gauge", "1 while the circuit is open."),
    ("half_open", "gauge", "1 while it lets calls through on trial."),
    ("calls", "counter", "Calls that ended in a success or a failure."),
    ("failures", "counter", "Calls that failed."),
    ("slow", "counter", "Calls that took too long."),
    ("rejected", "counter", "Calls that were not let through."),
    ("opened", "counter", "How often the circuit opened."),
    # Not the rates: breakers of one name are summed.
    ("window_calls", "gauge", "Calls in the window."),
    ("window_failures", "gauge", "Calls in the window that failed."),
    ("window_slow", "gauge", "Calls in the window that took too long."),
)

RETRY_FIELDS: Final[Fields] = (
    ("calls", "counter", "Calls that have ended."),
    ("successes", "counter", "Calls that returned."),
    ("failures", "counter", "Calls that raised."),
    ("cancelled", "counter", "Calls that were cancelled."),
    ("retries", "counter", "Attempts after the first."),
    ("exhausted", "counter", "Failures after as many attempts as allowed."),
    ("out_of_budget", "counter", "Failures because the retry budget was exhausted."),
    ("out_of_time", "counter", "Failures because no attempt would have come before the deadline."),
    ("pushed_back", "counter", "Failures because the error asked not to retry soon, or ever."),
    ("delay_seconds", "counter", "Time spent between attempts."),
)

HEDGE_FIELDS: Final[Fields] = (
    ("calls", "counter", "Calls that have ended."),
    ("failures", "counter", "Calls that raised."),
    ("cancelled", "counter", "Calls that were cancelled."),
    ("extra", "counter", "Calls that were made beside the first ones."),
    ("won", "counter", "Calls whose answer came from an extra one."),
    ("out_of_budget", "counter", "Extra calls that the budget did not allow."),
    ("delay", "gauge", "Seconds after which an extra call is made now."),
)

EXECUTOR_FIELDS: Final[Fields] = (
    ("workers", "gauge", "Workers there are."),
    ("busy", "gauge", "Workers that run a task."),
    ("pending", "gauge", "Tasks that wait for a worker, or for their result to be checked."),
    ("submitted", "counter", "Tasks that were accepted."),
    ("completed", "counter", "Tasks that returned."),
    ("failed", "counter", "Tasks that raised, or whose result was not accepted."),
    ("cancelled", "counter", "Tasks that were cancelled before they ran."),
    ("expired", "counter", "Tasks that did not get done before their deadline."),
    ("rejected", "counter", "Tasks that were turned away because too many were pending."),
    ("stolen", "counter", "Tasks that one worker took from another."),
    ("lost", "counter", "Worker processes that died while they ran a task."),
    ("run_seconds", "counter", "Time spent running tasks."),
    ("wait_seconds", "counter", "Time that tasks waited for a worker."),
)
