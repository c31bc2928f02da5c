"""A task on its way through a cluster, and its future at the same time."""

from __future__ import annotations

from _thread import RLock
from concurrent.futures._base import CANCELLED_AND_NOTIFIED
from contextvars import copy_context
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from penstock.errors import TaskExpired
from penstock.flow._executor._future import TaskFuture

if TYPE_CHECKING:
    from asyncio import TimerHandle
    from collections.abc import Callable

    from penstock.flow._executor._cluster_core import ClusterCore
    from penstock.flow._executor._options import Options

__all__ = ["ClusterTask", "Deliver", "Outcome"]


class Outcome(NamedTuple):
    """What `run` of _cluster_remote returned, or why there is nothing."""

    data: bytes | None
    error: BaseException | None


class ClusterTask(TaskFuture[Any]):
    """
    A task on its way through a cluster.

    Args:
        core: Whose task it is.
        name: What messages call it.
        key: What dask calls it. The part up to the first ``-`` is how dask knows those alike.
        options: How it is to be run.
        seconds: After which it has failed, or None.
    """

    def __init__(
        self, core: ClusterCore, name: str, key: str, options: Options, seconds: float | None
    ) -> None:
        super().__init__()
        self.core = core
        self.name = name
        self.key = key
        self.options = options
        self.seconds = seconds
        self.due = None if seconds is None else monotonic() + seconds
        #: What `validate` sees.
        self.context = copy_context()
        self.since = perf_counter()
        #: Whether it has one of the places there are for tasks.
        self.has_place = False
        #: Unpickling it runs the task.
        self.blob = b""
        # What follows belongs to the thread of the engine.
        #: dask's future; None when the task was not sent, or is not to be waited for any more.
        self.remote: Any = None
        self.expiry: TimerHandle | None = None
        self.sent_at = 0.0
        #: How often dask gave it up because its workers died.
        self.losses = 0
        #: How often in a row the scheduler knew nothing of it.
        self.doubts = 0

    def left(self) -> float | None:
        """Return how many seconds there are until its deadline, if it has one."""
        return None if self.due is None else max(0.0, self.due - monotonic())

    def expired(self) -> TaskExpired:
        """Return what it fails with at its deadline."""
        seconds = self.seconds or 0.0
        message = f"{self.name} was not done within its deadline of {seconds:g} s"
        return TaskExpired(message, seconds=seconds)

    def gives_place(self) -> bool:
        """Return True to the first who asks, if it has a place."""
        with self._lock:
            has_place, self.has_place = self.has_place, False
        return has_place

    def orphan(self) -> None:
        """Be done, in a fork of the process that it is a task of; nobody is called back there."""
        self._lock = RLock()
        if not self.done():
            self._state = CANCELLED_AND_NOTIFIED

    def _on_cancel(self) -> None:
        self.core.note_cancelled(self)

    def _before_wait(self) -> None:
        self.core.delivery.make_way()


#: Is told what became of a task, once, on the event loop of the engine: it must not wait.
Deliver: TypeAlias = "Callable[[ClusterTask, Outcome], object]"
