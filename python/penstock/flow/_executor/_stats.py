"""What an executor tells of itself."""

from __future__ import annotations

from dataclasses import dataclass

from penstock import _components
from penstock.flow._families import EXECUTOR_FIELDS

__all__ = ["ExecutorStats"]


@dataclass(frozen=True, slots=True)
class ExecutorStats:
    """
    What has become of the tasks of an executor.

    Attributes:
        workers: Workers there are now, threads or processes.
        busy: Of these, that run a task.
        pending: Tasks that wait for a worker, or for their result to be checked.
        submitted: Tasks that were accepted.
        completed: Of these, that returned, and whose result was accepted.
        failed: That raised, or whose result was not accepted.
        cancelled: That were cancelled before they ran.
        expired: That did not get done before their deadline.
        rejected: Tasks that were turned away because too many were pending.
        stolen: Tasks that one worker took out of the queue of another.
        lost: Processes that died while they ran a task.
        run_seconds: Time spent running tasks, of all workers together.
        wait_seconds: Time from submission to the start, of all tasks together that were started.
    """

    workers: int = 0
    busy: int = 0
    pending: int = 0
    submitted: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0
    rejected: int = 0
    stolen: int = 0
    lost: int = 0
    run_seconds: float = 0.0
    wait_seconds: float = 0.0


_components.describe("executor", ExecutorStats, EXECUTOR_FIELDS)
