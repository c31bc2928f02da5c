"""The check of a result, which has its turn after another task."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from penstock.flow._executor._options import judge

if TYPE_CHECKING:
    from contextvars import Context

    from penstock.flow._executor._job import Job
    from penstock.flow._executor._worker import Worker

__all__ = ["Check"]


class Check:
    """The result of a task that is to be checked before the task is resolved."""

    __slots__ = ("_context", "_job", "_result")

    def __init__(self, job: Job, context: Context | None, result: Any) -> None:
        self._job = job
        self._context = context
        self._result = result

    def perform(self, worker: Worker) -> None:
        """Check it."""
        job, result = self._job, self._result
        extras = job.extras
        error: BaseException | None = None
        start = perf_counter()
        try:
            if extras is not None and extras.validate is not None:
                if self._context is None:
                    judge(extras.validate, result)
                else:
                    self._context.run(judge, extras.validate, result)
        except BaseException as raised:
            error, result = raised, None
            error.__traceback__ = raised.__traceback__ and raised.__traceback__.tb_next
        worker.run_seconds += perf_counter() - start
        job.settle(worker, result, error)
        del self, job, error  # no cycle, as in `Job.perform`
