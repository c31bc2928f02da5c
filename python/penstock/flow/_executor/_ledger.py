"""Which tasks an executor has accepted and not resolved yet, and how the others have ended."""

from __future__ import annotations

from _thread import RLock
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from penstock.flow._executor._gathering import Barrier

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from penstock.flow._executor._future import TaskFuture

__all__ = ["Ledger"]

#: What the executor calls a task: a future, or something that has one.
J = TypeVar("J")
F = TypeVar("F", bound="TaskFuture[Any]")


class Ledger(Generic[J]):
    """
    The tasks that an executor has to resolve.

    Entering and leaving are one operation on a dict each; the lock, a reentrant one, is for what is
    rare: keys, and counters that any thread may write.
    """

    __slots__ = (
        "_keyed", "_lock", "barriers", "cancelled", "completed", "expired", "failed", "lost",
        "rejected", "tasks",
    )  # fmt: skip

    def __init__(self) -> None:
        #: In the order of submission; a dict for its order.
        self.tasks: dict[J, None] = {}
        self.barriers: list[Barrier] = []
        self._keyed: dict[Hashable, TaskFuture[Any]] = {}
        self._lock = RLock()
        self.completed = 0
        self.failed = 0
        self.cancelled = 0
        self.expired = 0
        self.rejected = 0
        self.lost = 0

    def __len__(self) -> int:
        return len(self.tasks)

    def enter(self, task: J) -> None:
        """Note a task that was accepted."""
        self.tasks[task] = None

    def leave(self, task: J) -> None:
        """Forget a task, after its future was resolved."""
        self.tasks.pop(task, None)
        if self.barriers:
            self.lift(task)

    def count(
        self,
        *,
        completed: int = 0,
        failed: int = 0,
        cancelled: int = 0,
        expired: int = 0,
        rejected: int = 0,
        lost: int = 0,
    ) -> None:
        """Add to the counters."""
        with self._lock:
            self.completed += completed
            self.failed += failed
            self.cancelled += cancelled
            self.expired += expired
            self.rejected += rejected
            self.lost += lost

    # A task leaves `tasks`, then its end looks at `barriers`; a barrier copies `tasks`, enters
    # `barriers`, then looks at `tasks` again. So of a task that leaves in between, either its end
    # sees the barrier or the barrier sees that it has left.

    def barrier(self) -> Barrier:
        """Return a future that is done when all tasks are that are here now."""
        barrier = Barrier(list(self.tasks))
        self.barriers.append(barrier)
        barrier.add_done_callback(self._forget_barrier)
        for task in list(barrier.tasks):
            if task not in self.tasks:
                barrier.tasks.discard(task)
        barrier.open_if_done()
        return barrier

    def lift(self, task: J) -> None:
        """Let no barrier wait for a task any more."""
        for barrier in list(self.barriers):
            barrier.lift(task)

    def _forget_barrier(self, barrier: object) -> None:
        self.barriers.remove(barrier)  # type: ignore[arg-type]

    def share(self, key: Hashable, make: Callable[[], F]) -> tuple[F, bool]:
        """
        Return the future of the task with a key, and whether it is a new one.

        Args:
            key: What the tasks have in common.
            make: Makes a new future, when there is none that is still to be resolved.
        """
        with self._lock:
            known = self._keyed.get(key)
            if known is not None and known._join():
                return known, False  # type: ignore[return-value]
            made = make()
            self._keyed[key] = made
            return made, True

    def forget(self, key: Hashable, future: object) -> None:
        """Let the next task with this key be a new one, if *future* is that of the last one."""
        with self._lock:
            if self._keyed.get(key) is future:
                del self._keyed[key]
