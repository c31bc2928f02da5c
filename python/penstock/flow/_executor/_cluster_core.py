"""What an executor on a cluster is made of, apart from its face: it lives until all is closed."""

from __future__ import annotations

from _thread import RLock
from functools import partial
from itertools import count
from threading import Event
from time import perf_counter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from penstock.errors import TaskExpired
from penstock.flow._callables import name_of
from penstock.flow._deadline import sooner
from penstock.flow._executor import _lifetime
from penstock.flow._executor._cluster_blob import pack, unpack
from penstock.flow._executor._cluster_delivery import Delivery
from penstock.flow._executor._cluster_engine import Engine
from penstock.flow._executor._cluster_places import Places
from penstock.flow._executor._cluster_task import ClusterTask, Outcome
from penstock.flow._executor._ledger import Ledger
from penstock.flow._executor._mapping import call_chunk
from penstock.flow._executor._options import judge
from penstock.flow._executor._stats import ExecutorStats

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.flow._executor._cluster_local import LocalCluster
    from penstock.flow._executor._options import Options

    Function = Callable[..., Any]
    Args = tuple[Any, ...]
    Kwargs = dict[str, Any]

__all__ = ["ClusterCore"]

#: The standard library's words.
_AFTER_SHUTDOWN = "cannot schedule new futures after shutdown"

_IN_FORK = "this executor is connected by the process that this one was forked from"


class ClusterCore:
    """
    The tasks of an executor on a cluster, and what sends and resolves them.

    Args:
        where: The address of a scheduler, or a cluster of our own.
        timeout: Seconds after which a scheduler that does not answer is given up.
        workers_timeout: Seconds that tasks wait while there is no worker at all.
        max_task_bytes: What a task may take, pickled.
        max_result_bytes: What its result may take, pickled.
        max_pending: How many tasks there may be, None for any number.
        rejects: Whether one more is turned away, instead of made to wait.
        options: More arguments of dask's ``Client``.
    """

    def __init__(
        self,
        where: str | LocalCluster,
        *,
        timeout: float,
        workers_timeout: float,
        max_task_bytes: int,
        max_result_bytes: int,
        max_pending: int | None,
        rejects: bool,
        options: dict[str, object],
    ) -> None:
        self.ledger: Ledger[ClusterTask] = Ledger()
        self.delivery = Delivery()
        self.engine = Engine(
            where,
            timeout=timeout,
            workers_timeout=workers_timeout,
            deliver=self._deliver,
            on_end=self.delivery.end,
            options=options,
        )
        self._max_task_bytes = max_task_bytes
        self._max_result_bytes = max_result_bytes
        self._places = Places(
            max_pending, rejects=rejects, on_reject=partial(self.ledger.count, rejected=1)
        )
        self._id = uuid4().hex
        self._numbers = count(1)
        self._lock = RLock()
        self._submitted = 0
        self._run_seconds = 0.0
        self._wait_seconds = 0.0
        #: Why nothing is accepted any more, or None.
        self._refusal: str | None = None
        self._idle = Event()

    def open(self) -> None:
        """
        Connect.

        Raises:
            ClusterLost: There is no cluster.
        """
        self.delivery.start()
        self.engine.open()
        _lifetime.watch(self)

    def submit(
        self, options: Options, function: Function, args: Args, kwargs: Kwargs
    ) -> ClusterTask:
        """
        Send a task, once there is a place for it.

        Raises:
            RuntimeError: The executor is shut down.
            ClusterLost: There is no cluster any more.
            LimitExceeded: There is no place, and nobody waits for one.
        """
        task, is_new = self._make(options, function, args)
        if is_new:
            try:
                # A callback that waits for a place would be the one to make room.
                task.has_place = not self.delivery.is_here() and self._places.take(task.left())
            except BaseException as error:
                self._refuse(task, error)
                raise
            self._launch(task, function, args, kwargs)
        return task

    async def run(self, options: Options, function: Function, args: Args, kwargs: Kwargs) -> Any:
        """Do what `submit` does in an event loop, and wait for the result."""
        task, is_new = self._make(options, function, args)
        if is_new:
            try:
                task.has_place = await self._places.take_later(task.left())
            except Exception as error:
                self._refuse(task, error)
                raise
            except BaseException:  # cancelled: others may wait for the task, when it has a key
                task._leave()
                self._launch(task, function, args, kwargs)
                raise
            self._launch(task, function, args, kwargs)
        return await task

    def note_cancelled(self, task: ClusterTask) -> None:
        """Forget a task that was just cancelled."""
        self.ledger.count(cancelled=1)
        self.engine.drop(task)
        self._leave(task)

    def figures(self) -> ExecutorStats:
        """Return the figures of now."""
        ledger, slots = self.ledger, self.engine.slots
        with self._lock:
            outstanding = len(ledger)
            busy = min(outstanding, slots)
            return ExecutorStats(
                workers=slots,
                busy=busy,
                pending=outstanding - busy,
                submitted=self._submitted,
                completed=ledger.completed,
                failed=ledger.failed,
                cancelled=ledger.cancelled,
                expired=ledger.expired,
                rejected=ledger.rejected,
                lost=ledger.lost,
                run_seconds=self._run_seconds,
                wait_seconds=self._wait_seconds,
            )

    def close(self, refusal: str = _AFTER_SHUTDOWN) -> None:
        """Accept nothing any more; all is closed when no task is left."""
        if self._refusal is None:
            self._refusal = refusal
        self._places.open()
        self._close_if_idle()

    def cancel_pending(self) -> None:
        """Cancel all tasks: which of them run is only known on the cluster."""
        for task in list(self.ledger.tasks):
            task.cancel()

    def join(self) -> None:
        """Wait until all is closed, unless this is called by what has to be closed."""
        if self.delivery.is_here():
            return
        self._idle.wait()
        self.engine.join()
        self.delivery.join()

    def begin_anew(self) -> None:
        """Be of no use in a fork, where the threads do not exist."""
        self._refusal = _IN_FORK
        for task in list(self.ledger.tasks):
            task.orphan()
        self.ledger = Ledger()
        self._idle = Event()  # the lock of the other one may be held
        self._idle.set()

    def _make(self, options: Options, function: Function, args: Args) -> tuple[ClusterTask, bool]:
        """Return a new task, or the one that has the same key."""
        if self._refusal is not None:
            raise RuntimeError(self._refusal)
        self.engine.check()
        # Of several calls in one task, it is the function called that says what it is.
        name = name_of(args[0] if function is call_chunk else function) or "the task"

        def make() -> ClusterTask:
            seconds, _ = sooner(options.deadline)
            key = f"{name}-{next(self._numbers)}-{self._id}"
            return ClusterTask(self, name, key, options, seconds)

        return (make(), True) if options.key is None else self.ledger.share(options.key, make)

    def _launch(self, task: ClusterTask, function: Function, args: Args, kwargs: Kwargs) -> None:
        """Accept a task, and send it."""
        # Either whoever closes sees it among the tasks, or we see that somebody closes.
        self.ledger.enter(task)
        if self._refusal is not None:
            error = RuntimeError(self._refusal)
            self._refuse(task, error)
            raise error
        with self._lock:
            self._submitted += 1
        if task.done():  # cancelled
            self._leave(task)
            return
        if task.left() == 0.0:
            self._settle(task, Outcome(None, task.expired()))
            return
        try:
            task.blob = pack(
                task.name,
                function,
                args,
                kwargs,
                max_task_bytes=self._max_task_bytes,
                max_result_bytes=self._max_result_bytes,
            )
        except Exception as error:
            self._settle(task, Outcome(None, error))
        except BaseException as error:  # nobody gets the future; but others may have it
            self._settle(task, Outcome(None, error))
            raise
        else:
            self.engine.send(task)

    def _refuse(self, task: ClusterTask, error: BaseException) -> None:
        """Resolve a task that is not accepted, for others who have it."""
        if task._claim():
            task.set_exception(error)
        self._leave(task)

    def _deliver(self, task: ClusterTask, outcome: Outcome) -> None:
        self.delivery.put(partial(self._settle, task, outcome))

    def _settle(self, task: ClusterTask, outcome: Outcome) -> None:
        """Resolve a future with what became of its task, unless it was cancelled."""
        if not task._claim():
            return
        result: Any = None
        error, seconds = outcome.error, None
        if outcome.data is not None:
            try:
                error, result, seconds = unpack(task.name, outcome.data)
                if error is None and task.options.validate is not None:
                    task.context.run(judge, task.options.validate, result)
            except BaseException as raised:
                error = raised
        self._count(task, error, seconds, is_expired=isinstance(outcome.error, TaskExpired))
        try:
            if error is None:
                task.set_result(result)
            else:
                task.set_exception(error)
        finally:
            self._leave(task)
            del error  # no cycle through its traceback

    def _count(
        self,
        task: ClusterTask,
        error: BaseException | None,
        seconds: float | None,
        *,
        is_expired: bool,
    ) -> None:
        self.ledger.count(
            completed=error is None,
            failed=error is not None and not is_expired,
            expired=is_expired,
            lost=task.losses,
        )
        if seconds is not None:
            with self._lock:
                self._run_seconds += seconds
                self._wait_seconds += max(0.0, perf_counter() - task.since - seconds)

    def _leave(self, task: ClusterTask) -> None:
        """Forget a task, and let others take its place; any number of times."""
        if task.gives_place():
            self._places.give_back()
        if task.options.key is not None:
            self.ledger.forget(task.options.key, task)
        self.ledger.leave(task)
        if self._refusal is not None:
            self._close_if_idle()

    def _close_if_idle(self) -> None:
        if not self.ledger.tasks:
            self.engine.close()
            self._idle.set()
