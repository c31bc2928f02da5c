"""What the workers of an executor share; it does not refer to the executor itself."""

from __future__ import annotations

from _thread import RLock
from contextlib import suppress
from itertools import count
from time import sleep
from typing import TYPE_CHECKING

from penstock._waiters import Waiters
from penstock.flow._executor import _lifetime
from penstock.flow._executor._here import here
from penstock.flow._executor._ledger import Ledger
from penstock.flow._executor._queue import Queue
from penstock.flow._executor._timekeeper import Timekeeper

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.flow._executor._check import Check
    from penstock.flow._executor._job import Job
    from penstock.flow._executor._worker import Worker

__all__ = ["Core"]

#: The standard library's words.
_AFTER_SHUTDOWN = "cannot schedule new futures after shutdown"

_UNLIMITED = 2**62


class Core:
    """
    Tasks, and the workers that run them.

    Args:
        max_workers: How many workers there may be.
        make_worker: Makes one with some number, which begins when it is started.
        max_pending: How many tasks may be pending, None for any number.
        name: Of the workers, to which their numbers are added.

    How no task is left lying while a worker sleeps. Taken for granted is only that each operation
    on a deque, a list, a dict or an attribute is one step, and that all threads see them in one
    order. A worker that finds nothing enters `idle`, looks again, and only then sleeps. Whoever
    brings a task puts it into the queue and then looks at `idle`. So for a task and a worker that
    went to sleep afterwards: either the worker saw the task when it looked again, or it was in
    `idle` when the one who brought the task looked there. That one wakes it, unless
    `is_searching` says that another worker was woken that has not looked yet: it takes the flag
    down before it looks, so it will see this task, or take another one. And a worker that takes one
    of several tasks looks at `idle` itself, in the same way as who brings one: a burst of tasks
    wakes one worker, which wakes the next (as in tokio, tokio-rs/tokio#1657).

    How no task is left lying when all workers have gone. Whoever closes says so in `refusal`, then
    wakes all who sleep. A worker goes when it has read that and then found nothing. Who brings a
    task looks at `refusal` after it is in the queue: when that is empty, workers that have read it
    look into the queue later; when it is not, the task is taken back, or runs already.
    """

    __slots__ = (
        "__weakref__",
        "_alive",
        "_broken",
        "_lock",
        "_make_worker",
        "_max_pending",
        "_numbers",
        "_uncounted",
        "idle",
        "is_searching",
        "keeper",
        "ledger",
        "max_workers",
        "name",
        "places",
        "queue",
        "refusal",
        "vacancies",
        "workers",
    )  # fmt: skip

    def __init__(
        self,
        max_workers: int,
        make_worker: Callable[[Core, int], Worker],
        *,
        max_pending: int | None,
        name: str,
    ) -> None:
        self.max_workers = max_workers
        self.name = name
        self._make_worker = make_worker
        self._max_pending = max_pending
        #: Why nothing is accepted any more, or None.
        self.refusal: str | None = _lifetime.AFTER_EXIT if _lifetime.is_exiting() else None
        #: Makes what to raise when workers cannot begin, and that is why.
        self._broken: Callable[[], BaseException] | None = None
        self._begin()
        _lifetime.watch(self)

    def begin_anew(self) -> None:
        """Begin anew: the tasks and workers of the parent are none of a child's business."""
        for job in list(self.ledger.tasks):
            job.orphan()
        for worker in self.workers:
            worker.retire()
        self._begin()

    def _begin(self) -> None:
        """Begin without tasks and workers."""
        self.queue = Queue()
        self.ledger: Ledger[Job] = Ledger()
        self._numbers = count()
        self._uncounted = 0
        #: Who sleeps, the last one first to be woken: its memory is still in the caches.
        self.idle: list[Worker] = []
        self.is_searching = False
        self.workers: list[Worker] = []
        self._alive: list[Worker] = []
        #: The numbers of the workers that there are not yet.
        self.vacancies = list(range(self.max_workers - 1, -1, -1))
        self._lock = RLock()
        self.keeper = Timekeeper(f"{self.name}_timekeeper")
        self.places = None if self._max_pending is None else Waiters(self._max_pending)

    # --- tasks ------------------------------------------------------------------------------------

    def accept(self, job: Job, priority: int = 0) -> None:
        """
        Have a task run.

        Raises:
            RuntimeError: The executor is shut down.
        """
        # Between this and the next call there is nothing where a finalizer or the handler of a
        # signal could come in.
        self.ledger.tasks[job] = None
        worker = here.worker
        if priority:
            self.queue.put(job, priority)
        elif worker is not None and worker.core is self:
            worker.own.append(job)
        else:
            self.queue.common.append(job)
        next(self._numbers)
        if self.refusal is not None:
            self._take_back(job, self.refused())
        if self.idle:
            if not self.is_searching:
                self.wake()
        elif self.vacancies:
            self._grow(job)

    def add_check(self, worker: Worker, check: Check) -> None:
        """Have a result checked, after *worker* has gone on with another task."""
        checks = self.queue.checks
        if not checks:
            worker.is_check_next = False
        checks.append(check)
        self.rouse()

    def rouse(self) -> None:
        """Let one more worker look for something to do, if there is something."""
        if self.is_searching or self.queue.is_empty(self.workers):
            return
        if self.idle:
            self.wake()
        else:
            self._grow(None)

    def wake(self) -> None:
        """Wake the worker that went to sleep last."""
        idle = self.idle
        while idle:
            try:
                worker = idle[-1]
            except IndexError:
                return
            try:
                idle.remove(worker)
            except ValueError:
                continue  # somebody else has woken it
            except BaseException:  # a signal handler has raised, but the worker is out
                worker.parker.wake()
                raise
            # Nothing can come in between of these.
            self.is_searching = True
            worker.parker.wake()
            return

    def refused(self) -> BaseException:
        """Return what to raise when nothing is accepted any more."""
        return RuntimeError(self.refusal) if self._broken is None else self._broken()

    def _take_back(self, job: Job, error: BaseException) -> None:
        """Raise, unless the task runs already."""
        if job._claim():
            with self._lock:
                self._uncounted += 1
            job.withdraw()
            raise error

    def count_submitted(self) -> None:
        """Count a task that was accepted."""
        next(self._numbers)

    def submitted(self) -> int:
        """Return how many tasks were accepted."""
        with self._lock:
            number = next(self._numbers) - self._uncounted
            self._uncounted += 1
        return number

    def release_place(self) -> None:
        """Let one more task be pending."""
        if self.places is not None:
            self.places.release()

    # --- workers ----------------------------------------------------------------------------------

    def _grow(self, job: Job | None) -> None:
        """Start a worker, for a task that nobody else is going to look at soon."""
        vacancies = self.vacancies
        while vacancies:
            try:
                number = vacancies[-1]
            except IndexError:
                return
            try:
                vacancies.remove(number)
            except ValueError:
                continue  # somebody else has started it
            except BaseException:  # a signal handler has raised
                vacancies.append(number)
                raise
            try:
                self._hire(number)
            except BaseException as error:
                self._bear(error, number, job)
            return

    def _hire(self, number: int) -> None:
        worker = self._make_worker(self, number)
        with self._lock:
            if self.refusal is not None:
                raise self.refused()
            self.workers.append(worker)
            self._alive.append(worker)
        worker.thread.start()

    def _bear(self, error: BaseException, number: int, job: Job | None) -> None:
        """Do without a worker that could not be started, or raise."""
        worker = next((each for each in self.workers if each.number == number), None)
        if worker is not None and _has_begun(worker, error):
            raise error
        self._unhire(number, worker)
        if isinstance(error, Exception) and (self._alive or job is None):
            return  # no more threads: those that there are will do
        if job is not None:
            self._take_back(job, error)
        if not isinstance(error, Exception):
            raise error

    def _unhire(self, number: int, worker: Worker | None) -> None:
        self.vacancies.append(number)
        if worker is not None:
            self.workers.remove(worker)
            worker.ended.release()
            self.leave(worker)

    def leave(self, worker: Worker) -> None:
        """Note that a worker has gone; the last one turns off the light."""
        with suppress(ValueError):  # in a fork, where it is one of the parent
            self._alive.remove(worker)
        if self.refusal is not None and not self._alive:
            self.keeper.end()

    # --- the end ----------------------------------------------------------------------------------

    def close(self, refusal: str = _AFTER_SHUTDOWN) -> None:
        """Accept nothing any more; workers go when nothing is left to be done."""
        with self._lock:
            if self.refusal is None:
                self.refusal = refusal
        places = self.places
        if places is not None:
            places.resize(_UNLIMITED)  # who waits for a place learns that there will be none
        while self.idle:
            self.wake()
        if not self._alive:
            self.keeper.end()

    def cancel_pending(self) -> None:
        """Cancel what does not run yet."""
        for job in list(self.ledger.tasks):
            job.discard()

    def fail(self, make_error: Callable[[], BaseException]) -> None:
        """Be of no use any more: workers cannot begin."""
        self._broken = make_error
        self.close()
        for job in list(self.ledger.tasks):
            job.reject(make_error())

    def join(self) -> None:
        """Wait until all workers have gone."""
        for worker in list(self.workers):
            worker.join()
        if not self._alive:
            self.keeper.join()


def _has_begun(worker: Worker, error: BaseException) -> bool:
    """Return whether a thread runs whose start has raised."""
    if isinstance(error, Exception):
        return False
    # A signal handler has raised, somewhere in the start.
    for _ in range(100):
        if worker.thread.ident is not None:
            return True
        sleep(0.001)
    return False
