"""An executor whose workers are those of a cluster of dask.distributed."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, TypedDict
from weakref import finalize

from penstock import _backend
from penstock._components import enter
from penstock.flow._checks import check_int, check_name
from penstock.flow._executor._base import BaseExecutor

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Literal

    from penstock.flow._executor._cluster_core import ClusterCore
    from penstock.flow._executor._cluster_local import LocalCluster
    from penstock.flow._executor._cluster_task import ClusterTask
    from penstock.flow._executor._ledger import Ledger
    from penstock.flow._executor._options import Options
    from penstock.flow._executor._stats import ExecutorStats

__all__ = ["ClusterExecutor", "connect", "local_cluster"]

#: Less than what dask warns of; the scheduler keeps it in memory until the task is done.
_MAX_TASK_BYTES = 8 * 2**20

_MAX_RESULT_BYTES = 64 * 2**20


class ClusterExecutor(BaseExecutor):
    """
    An executor whose tasks run on a cluster of dask.distributed.

    It is made by ``Executor.connect`` or ``Executor.local_cluster``, and has the interface of
    `Executor`: what runs on threads or processes runs on a cluster without a change. Stealing and
    the recovery from workers that die are dask's; every wait has a limit of ours.

    - **A task may run more than once.** When its worker dies, or the one that has its result, dask
      runs it again on another one. So a task has to be idempotent; it fails with `WorkerLost` when
      it has taken down more workers than the cluster allows (4, by dask's default), and is sent
      again ``retries`` times then.
    - The scheduler keeps nothing on a disk. When it is gone, or silent for *timeout* seconds, all
      tasks fail with `ClusterLost`, and so does whatever is submitted from then on: make another
      executor.
    - What runs is not known here. ``cancel()`` of a future succeeds until the task is done: one
      that waits is taken off the cluster, of one that runs only the result is dropped. For the
      same reason ``shutdown(cancel_futures=True)`` cancels all tasks, and a task fails with
      `TaskExpired` at its deadline even if it runs. ``busy`` among the statistics is as many tasks
      as there are threads for, ``pending`` the others; ``lost`` counts how often dask gave up a
      task.
    - Functions, arguments and results are pickled, with cloudpickle: lambdas and what is defined in
      ``__main__`` can be sent. Context variables are not. Workers need the modules that tasks
      refer to and the same version of Python, but not penstock.
    - Callbacks of futures and ``validate`` are called in a thread of the executor, one at a time.

    Cost: about 10 ms from submission to result, and 1 to 2 ms of the scheduler for each task: tasks
        should take 10 ms or more. ``map(chunksize=)`` makes one task of several calls.
    """

    def __init__(self, core: ClusterCore, name: str | None) -> None:
        self._core = core
        self._name = name
        core.open()
        # A cluster that is not referred to any more ends when its tasks have.
        finalize(self, core.close).atexit = False
        enter(self)

    @property
    def _ledger(self) -> Ledger[ClusterTask]:  # type: ignore[override]
        return self._core.ledger

    @property
    def name(self) -> str | None:
        """
        The name under which the statistics are shown.
        """
        return self._name

    @property
    def address(self) -> str:
        """
        Where the scheduler is, for other clients.
        """
        return self._core.engine.address

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.address}>"

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """
        Accept no more tasks, and let go of the cluster when all are done.

        Args:
            wait: Return when that is so, and nothing is left of threads, connections, processes and
                files; but dask keeps an idle thread of its own once it had messages of 10 MB.
            cancel_futures: Cancel all tasks that are not done.
        """
        self._core.close()
        if cancel_futures:
            self._core.cancel_pending()
        if wait:
            self._core.join()

    def _submit(
        self,
        options: Options,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> ClusterTask:
        return self._core.submit(options, function, args, kwargs)

    async def _run(
        self,
        options: Options,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        return await self._core.run(options, function, args, kwargs)

    def _figures(self) -> ExecutorStats:
        return self._core.figures()


def connect(
    address: str,
    *,
    timeout: float | timedelta = 10.0,
    workers_timeout: float | timedelta | None = None,
    security: object | None = None,
    max_task_bytes: int = _MAX_TASK_BYTES,
    max_result_bytes: int = _MAX_RESULT_BYTES,
    max_pending: int | None = None,
    on_full: Literal["wait", "raise"] = "wait",
    name: str | None = None,
) -> ClusterExecutor:
    """
    Return an executor on a cluster of dask.distributed that runs already.

    It blocks while it connects: in a coroutine, ``await asyncio.to_thread(Executor.connect, ...)``.

    Args:
        address: Of the scheduler: ``"tcp://host:8786"``, or ``"tls://host:8786"`` with *security*.
        timeout: Seconds (or a timedelta) to connect, and later of silence after which the scheduler
            is given up.
        workers_timeout: Seconds for which tasks wait while the cluster has no worker at all; None:
            as *timeout*. One that grows on demand needs as long as a worker takes to start.
        security: A ``distributed.Security``.
        max_task_bytes: What a task may take with its arguments, pickled. A larger one fails.
        max_result_bytes: What the result of a task may take, pickled. A larger one stays on the
            worker, and the task fails.
        max_pending: How many tasks there may be that are not done, None for any number.
        on_full: What is done with one more: ``"wait"`` until there is room, or ``"raise"``
            `LimitExceeded`.
        name: Under which the figures are shown among the metrics.

    Returns:
        A `ClusterExecutor`.

    Raises:
        ClusterLost: There is no scheduler that answered in time.
        ImportError: dask.distributed is not installed.
        TypeError, ValueError: An argument is not what it has to be.
    """
    if not isinstance(address, str):
        raise TypeError(f"address must be a str, got {type(address).__name__}")
    if not address:
        raise ValueError("address must not be empty")
    options: dict[str, object] = {} if security is None else {"security": security}
    common: _Common = {
        "timeout": timeout,
        "workers_timeout": workers_timeout,
        "max_task_bytes": max_task_bytes,
        "max_result_bytes": max_result_bytes,
        "max_pending": max_pending,
        "on_full": on_full,
        "name": name,
    }
    return _make(lambda: address, options, common)


def local_cluster(
    n_workers: int,
    *,
    threads_per_worker: int = 1,
    processes: bool = True,
    memory_limit: int | None = None,
    allowed_failures: int = 3,
    timeout: float | timedelta = 30.0,
    workers_timeout: float | timedelta | None = None,
    max_task_bytes: int = _MAX_TASK_BYTES,
    max_result_bytes: int = _MAX_RESULT_BYTES,
    max_pending: int | None = None,
    on_full: Literal["wait", "raise"] = "wait",
    name: str | None = None,
) -> ClusterExecutor:
    """
    Return an executor on a cluster of dask.distributed of its own, on this machine.

    Its scheduler is a process, as are its workers; they listen on the loopback interface, and end
    with the executor, or with this process. It blocks for the second or so that they take to start.

    Args:
        n_workers: How many workers.
        threads_per_worker: How many tasks each of them runs at the same time.
        processes: Whether each worker is a process that is replaced when it dies. Otherwise they
            are threads of the scheduler's process, which starts sooner.
        memory_limit: Bytes that each worker may take; one that takes almost as much is killed and
            replaced. None: its share of the machine's memory.
        allowed_failures: How many workers may die of a task before it fails.
        timeout: Seconds (or a timedelta) to start, and later of silence after which the scheduler
            is given up.
        workers_timeout: Seconds for which tasks wait while no worker is alive; None: as *timeout*.
        max_task_bytes: What a task may take with its arguments, pickled. A larger one fails.
        max_result_bytes: What the result of a task may take, pickled. A larger one stays on the
            worker, and the task fails.
        max_pending: How many tasks there may be that are not done, None for any number.
        on_full: What is done with one more: ``"wait"`` until there is room, or ``"raise"``
            `LimitExceeded`.
        name: Under which the figures are shown among the metrics.

    Returns:
        A `ClusterExecutor`.

    Raises:
        ClusterLost: The cluster did not start in time.
        ImportError: dask.distributed is not installed.
        TypeError, ValueError: An argument is not what it has to be.
    """
    check_int("n_workers", n_workers, 1)
    check_int("threads_per_worker", threads_per_worker, 1)
    check_int("allowed_failures", allowed_failures, 0)
    if memory_limit is not None:
        check_int("memory_limit", memory_limit, 1)

    def start() -> LocalCluster:
        from penstock.flow._executor._cluster_local import LocalCluster

        return LocalCluster(
            n_workers,
            threads_per_worker=threads_per_worker,
            processes=bool(processes),
            memory_limit="auto" if memory_limit is None else memory_limit,
            allowed_failures=allowed_failures,
        )

    # All is on this machine: results need not make a detour through the scheduler.
    options: dict[str, object] = {"direct_to_workers": True}
    common: _Common = {
        "timeout": timeout,
        "workers_timeout": workers_timeout,
        "max_task_bytes": max_task_bytes,
        "max_result_bytes": max_result_bytes,
        "max_pending": max_pending,
        "on_full": on_full,
        "name": name,
    }
    return _make(start, options, common)


class _Common(TypedDict):
    """The arguments that both ways have in common."""

    timeout: float | timedelta
    workers_timeout: float | timedelta | None
    max_task_bytes: int
    max_result_bytes: int
    max_pending: int | None
    on_full: str
    name: str | None


def _make(
    start: Callable[[], str | LocalCluster], options: dict[str, object], common: _Common
) -> ClusterExecutor:
    """Check the arguments, and connect."""
    seconds = _backend.duration("timeout", common["timeout"])
    workers_seconds = seconds
    if common["workers_timeout"] is not None:
        workers_seconds = _backend.duration("workers_timeout", common["workers_timeout"])
    max_task_bytes = check_int("max_task_bytes", common["max_task_bytes"], 1)
    max_result_bytes = check_int("max_result_bytes", common["max_result_bytes"], 1)
    max_pending, on_full, name = common["max_pending"], common["on_full"], common["name"]
    if max_pending is not None:
        check_int("max_pending", max_pending, 1)
    if on_full not in {"wait", "raise"}:
        raise ValueError(f"on_full must be 'wait' or 'raise', got {on_full!r}")
    check_name(name)
    try:
        import_module("distributed")
    except ImportError as error:
        message = "an executor on a cluster needs dask.distributed: pip install penstock[dask]"
        raise ImportError(message) from error
    # dask is heavy, and so is what uses it.
    from penstock.flow._executor._cluster_core import ClusterCore

    core = ClusterCore(
        start(),
        timeout=seconds,
        workers_timeout=workers_seconds,
        max_task_bytes=max_task_bytes,
        max_result_bytes=max_result_bytes,
        max_pending=max_pending,
        rejects=on_full == "raise",
        options=options,
    )
    return ClusterExecutor(core, name)
