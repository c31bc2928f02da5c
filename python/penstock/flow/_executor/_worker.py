"""A thread that runs tasks."""

from __future__ import annotations

import threading
from _thread import allocate_lock
from collections import deque
from concurrent.futures import BrokenExecutor
from concurrent.futures._base import LOGGER
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from penstock._backend import Parker
from penstock.flow._executor._here import here

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.flow._executor._check import Check
    from penstock.flow._executor._core import Core
    from penstock.flow._executor._job import Job

__all__ = ["Worker", "broken_pool"]


class Worker:
    """
    One worker: a thread that runs tasks in itself.

    Args:
        core: Whose tasks.
        number: A different one for each.
        initializer: Is called in the thread first.
        initargs: With what.
    """

    def __init__(
        self,
        core: Core,
        number: int,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
    ) -> None:
        self.core = core
        self.number = number
        self._initializer = initializer
        self._initargs = initargs
        #: Tasks that were submitted by tasks of this worker.
        self.own: deque[Job] = deque()
        #: What it sleeps on; nobody wakes it before it has begun.
        self.parker = Parker()
        #: Free when the worker has gone.
        self.ended = allocate_lock()
        self.ended.acquire()
        self.is_busy = False
        self._is_over = False
        self.is_retired = False
        #: Whether it is the turn of a check, not of a task.
        self.is_check_next = False
        self.completed = 0
        self.failed = 0
        self.expired = 0
        self.stolen = 0
        self.run_seconds = 0.0
        self.wait_seconds = 0.0
        self.thread = threading.Thread(target=self._main, name=f"{core.name}_{number}")

    def retire(self) -> None:
        """Do nothing more, in a fork, where its thread is not, or goes on as another one's."""
        self.is_retired = True

    def join(self) -> None:
        """Wait until it has gone; a worker does not wait for itself."""
        if self.thread is not threading.current_thread():
            self.ended.acquire()
            self.ended.release()
            if self.thread.ident is not None:
                self.thread.join()

    def call(self, job: Job) -> Any:
        """Run a task."""
        context, function, args, kwargs = job.context, job.function, job.args, job.kwargs
        del job  # no cycle through this frame
        if context is None:
            return function(*args, **kwargs)  # type: ignore[misc]  # it is there
        return context.run(function, *args, **kwargs)  # type: ignore[arg-type]

    def help(self, job: Job) -> None:
        """Run a task for which the one that this worker runs is going to wait."""
        # Most often it is the one that was submitted last: it is out of the way then.
        if self.own and self.own[-1] is job:
            with suppress(IndexError):
                other = self.own.pop()
                if other is not job:  # it was stolen, and another one submitted meanwhile
                    self.own.append(other)
        job.perform(self)

    # --- in the thread ----------------------------------------------------------------------------

    def _main(self) -> None:
        here.worker = self
        try:
            if self._begin():
                self._work()
        finally:
            here.worker = None
            try:
                self._end()
            finally:
                self.core.leave(self)
                self.ended.release()

    def _begin(self) -> bool:
        """Return whether the initializer did well."""
        if self._initializer is None:
            return True
        try:
            self._initializer(*self._initargs)
        except BaseException as error:
            LOGGER.critical("Exception in initializer:", exc_info=True)
            self.core.fail(broken_pool(error))
            return False
        return True

    def _end(self) -> None:
        """Clean up."""

    def _work(self) -> None:
        core, queue = self.core, self.core.queue
        workers, idle, vacancies = core.workers, core.idle, core.vacancies
        while True:
            item = queue.find(self, workers)
            if item is None:
                item = self._rest()
                if item is None:
                    if self._is_over:
                        return
                    continue
            if (idle or vacancies) and not core.is_searching:
                core.rouse()
            try:
                item.perform(self)
            except BaseException:
                # Not the task, of which nothing comes here: a callback of its future.
                LOGGER.exception("exception in the callbacks of a task")
            item = None

    def _rest(self) -> Job | Check | None:
        """Sleep until there may be something to do; what there is already, if that is so."""
        if self.is_retired:
            self._is_over = True
            return None
        core, idle = self.core, self.core.idle
        idle.append(self)
        # In this order: what is accepted before the end is seen is in the queue by then.
        is_over = core.refusal is not None
        item = core.queue.find(self, core.workers)
        if item is None and not is_over:
            self.parker.sleep()
            core.is_searching = False
            return None
        self._is_over = item is None
        try:
            idle.remove(self)
        except ValueError:  # somebody is waking it at this moment
            self.parker.sleep()
            core.is_searching = False
        return item


def broken_pool(cause: BaseException | None) -> Callable[[], BaseException]:
    """Return what makes the error of an executor whose workers cannot begin."""

    def make() -> BaseException:
        error = BrokenExecutor(f"the initializer of the executor raised {cause!r}")
        error.__cause__ = cause
        return error

    return make
