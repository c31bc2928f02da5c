"""`Executor`: threads or processes that run tasks."""

from __future__ import annotations

from asyncio import get_running_loop
from contextvars import copy_context
from functools import partial
from itertools import count
from math import ceil
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from weakref import finalize

from penstock._components import enter
from penstock.flow._checks import check_int, check_name
from penstock.flow._deadline import ambient, sooner
from penstock.flow._executor._admission import Admission
from penstock.flow._executor._base import BaseExecutor
from penstock.flow._executor._cluster import connect, local_cluster
from penstock.flow._executor._core import Core
from penstock.flow._executor._extras import Extras
from penstock.flow._executor._mailbox import mailbox
from penstock.flow._executor._options import PLAIN, Options
from penstock.flow._executor._stats import ExecutorStats
from penstock.flow._executor._task import LoopTask, Task
from penstock.flow._executor._worker import Worker
from penstock.flow._resources import effective_cpus

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import BaseContext
    from typing import Literal

    from penstock.flow._executor._future import TaskFuture
    from penstock.flow._executor._job import Job
    from penstock.flow._executor._ledger import Ledger

__all__ = ["Executor"]

P = ParamSpec("P")
T = TypeVar("T")

_numbers = count()


class Executor(BaseExecutor):
    """
    Runs tasks in threads, or in processes: a ``concurrent.futures.Executor`` that can do more.

    Args:
        max_workers: How many tasks run at once. The default is the number of CPUs that may be used,
            plus 4 and at most 32 for threads.
        thread_name_prefix: Of the names of the threads.
        initializer: Is called by each worker first. When it raises, all tasks fail with
            ``concurrent.futures.BrokenExecutor``.
        initargs: With what.
        processes: Whether tasks run in processes of their own. They, what they are called with,
            and their results have to be picklable. A process that dies fails the one task that it
            runs, and is replaced.
        max_pending: How many tasks may wait for a worker, None for any number. Those that tasks of
            this executor submit are never made to wait.
        on_full: What is done with one more: ``"wait"`` until there is room, or ``"raise"``
            `LimitExceeded`.
        mp_context: How processes are started: a context of ``multiprocessing`` or the name of a
            start method; by default ``"forkserver"`` where there is that, else ``"spawn"``.
        context: Whether a task in a thread sees the context variables of who has submitted it.
        name: Under which the figures are shown among the metrics.

    Raises:
        TypeError, ValueError: An argument is not what it has to be.

    Cost: a task costs a few microseconds. Any number of threads and event loops may use it. After a
        fork the child has the same executor, without tasks and workers; processes of a fork server
        cannot be started there.

    Source: the interface is that of ``concurrent.futures``; a queue for each worker and throttled
        wake-ups are those of tokio's scheduler.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        processes: bool = False,
        max_pending: int | None = None,
        on_full: Literal["wait", "raise"] = "wait",
        mp_context: str | BaseContext | None = None,
        context: bool = True,
        name: str | None = None,
    ) -> None:
        check_name(name)
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if max_pending is not None:
            check_int("max_pending", max_pending, 1)
        if on_full not in ("wait", "raise"):
            raise ValueError(f"on_full must be 'wait' or 'raise', got {on_full!r}")
        self._max_workers = _check_workers(max_workers, processes)
        self._copies_context = context and not processes
        self._chunked = processes
        self.name = name
        make_worker: Callable[[Core, int], Worker]
        if processes:
            from penstock.flow._executor._process_worker import ProcessWorker, context_of

            make_worker = partial(
                ProcessWorker,
                initializer=initializer,
                initargs=initargs,
                context=context_of(mp_context),
            )
        else:
            if mp_context is not None:
                raise ValueError("mp_context is for processes=True only")
            make_worker = partial(Worker, initializer=initializer, initargs=initargs)
        prefix = thread_name_prefix or f"{name or 'penstock-executor'}-{next(_numbers)}"
        self._core = Core(self._max_workers, make_worker, max_pending=max_pending, name=prefix)
        self._admission = Admission(self._core, rejects=on_full == "raise")
        # Workers that nobody can give tasks to any more go when they have done those there are.
        finalize(self, self._core.close).atexit = False
        enter(self)

    connect = staticmethod(connect)
    local_cluster = staticmethod(local_cluster)

    @property
    def _ledger(self) -> Ledger[Job]:  # type: ignore[override]
        return self._core.ledger

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> TaskFuture[T]:
        """
        Let a worker call ``fn(*args, **kwargs)``.

        Returns:
            Its future: one of ``concurrent.futures``, which can be awaited in asyncio as well.

        Raises:
            RuntimeError: The executor is shut down; or it is full, waits then, and an event loop
                runs in this thread, which that would block.
            LimitExceeded: It is full, and raises then.
        """
        core = self._core
        if core.refusal is not None or core.places is not None or ambient() is not None:
            return self._submit(PLAIN, fn, args, kwargs)
        context = copy_context() if self._copies_context else None
        task = Task(core, fn, args, kwargs, context)
        core.accept(task)
        return task

    async def run(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Let a worker call ``fn(*args, **kwargs)``, and return what it returns.

        Cancelling it cancels the task if it does not run yet; of one that runs, only the result is
        dropped.

        Raises:
            RuntimeError: The executor is shut down.
            LimitExceeded: It is full, and raises then.

        Cost: less than ``submit`` and a wrapped future; a burst of tasks that end at once wakes the
            event loop once.
        """
        core = self._core
        if core.refusal is not None or core.places is not None or ambient() is not None:
            result: T = await self._run(PLAIN, fn, args, kwargs)
            return result
        loop = get_running_loop()
        future = loop.create_future()
        context = copy_context() if self._copies_context else None
        task = LoopTask(core, future, mailbox(loop), fn, args, kwargs, context)
        core.accept(task)
        try:
            result = await future
        except BaseException:
            task.leave()
            raise
        return result

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """
        Accept no more tasks, and end the workers when those that there are have ended.

        Args:
            wait: Whether to wait for that.
            cancel_futures: Whether to cancel those that do not run yet.
        """
        core = self._core
        core.close()
        if cancel_futures:
            core.cancel_pending()
        if wait:
            core.join()

    def _figures(self) -> ExecutorStats:
        core = self._core
        ledger, workers = core.ledger, list(core.workers)
        completed = ledger.completed + sum(worker.completed for worker in workers)
        failed = ledger.failed + sum(worker.failed for worker in workers)
        expired = ledger.expired + sum(worker.expired for worker in workers)
        busy = sum(worker.is_busy for worker in workers)
        submitted = core.submitted()
        pending = submitted - completed - failed - expired - ledger.cancelled - busy
        return ExecutorStats(
            workers=len(workers),
            busy=busy,
            pending=max(pending, 0),
            submitted=submitted,
            completed=completed,
            failed=failed,
            cancelled=ledger.cancelled,
            expired=expired,
            rejected=ledger.rejected,
            stolen=sum(worker.stolen for worker in workers),
            lost=ledger.lost,
            run_seconds=sum(worker.run_seconds for worker in workers),
            wait_seconds=sum(worker.wait_seconds for worker in workers),
        )

    # --- tasks with options -----------------------------------------------------------------------

    def _submit(
        self,
        options: Options,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> TaskFuture[Any]:
        task, is_new = self._make(options, function, args, kwargs)
        if is_new:
            try:
                self._admission.admit(task)
            except BaseException as error:
                # Others may have been given it, when it has a key.
                task.refuse(error)
                raise
        return task

    async def _run(
        self,
        options: Options,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        task, is_new = self._make(options, function, args, kwargs)
        if is_new:
            try:
                await self._admission.admit_later(task)
            except Exception as error:
                task.refuse(error)
                raise
            except BaseException:  # cancelled
                task._leave()
                self._admission.admit_anyway(task)
                raise
        return await task

    def _make(
        self,
        options: Options,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> tuple[Task, bool]:
        """Return a new task, or the one that has the same key."""
        core = self._core
        if core.refusal is not None:
            raise core.refused()

        def make() -> Task:
            context = copy_context() if self._copies_context else None
            task = Task(core, function, args, kwargs, context)
            seconds, _ = sooner(options.deadline)
            task.extras = Extras(options, seconds)
            return task

        if options.key is None:
            return make(), True
        return core.ledger.share(options.key, make)


def _check_workers(max_workers: object, processes: bool) -> int:
    if max_workers is None:
        cpus = ceil(effective_cpus())
        return cpus if processes else min(32, cpus + 4)
    if isinstance(max_workers, bool) or not isinstance(max_workers, int):
        raise TypeError(f"max_workers must be an int, got {type(max_workers).__name__}")
    if max_workers < 1:
        # The beginning is the standard library's.
        raise ValueError(f"max_workers must be greater than 0, got {max_workers}")
    return max_workers
