"""The two kinds of tasks: one that is a future, and one for which an event loop waits."""

from __future__ import annotations

from _thread import RLock
from asyncio import CancelledError
from concurrent.futures._base import CANCELLED_AND_NOTIFIED
from time import perf_counter
from typing import TYPE_CHECKING, Any

from penstock.flow._executor._future import TaskFuture
from penstock.flow._executor._here import here
from penstock.flow._executor._job import Job

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable
    from contextvars import Context

    from penstock.flow._executor._core import Core
    from penstock.flow._executor._extras import Extras
    from penstock.flow._executor._mailbox import Mailbox

__all__ = ["LoopTask", "Task"]


class Task(TaskFuture[Any], Job):
    """A task, and its future at the same time."""

    extras: Extras | None = None

    def __init__(
        self,
        core: Core,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: Context | None,
    ) -> None:
        self._lock = RLock()  # all that the base does
        self.core = core
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.context = context
        self.since = perf_counter()

    def _resolve(self, result: Any, error: BaseException | None) -> None:
        if error is None:
            self.set_result(result)
        else:
            self.set_exception(error)

    def discard(self) -> bool:
        return self.cancel()

    def orphan(self) -> None:
        # No callbacks: they would do in the child what the parent does too.
        self._lock = RLock()
        if not self.done():
            self._state = CANCELLED_AND_NOTIFIED

    def _on_cancel(self) -> None:
        self.note_cancelled()

    def _before_wait(self) -> None:
        worker = here.worker
        if worker is not None and worker.core is self.core:
            worker.help(self)


class LoopTask(Job):
    """A task for whose end somebody waits in an event loop, and nobody anywhere else."""

    __slots__ = (
        "_box", "_claims", "_future", "args", "context", "core", "extras", "function", "kwargs",
        "since",
    )  # fmt: skip

    def __init__(
        self,
        core: Core,
        future: Future[Any],
        box: Mailbox,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: Context | None,
    ) -> None:
        self._future = future
        self._box = box
        # Popping is one step: it succeeds once.
        self._claims = [True]
        self.core = core
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.context = context
        self.extras = None
        self.since = perf_counter()

    def _claim(self) -> bool:
        try:
            return self._claims.pop()
        except IndexError:
            return False

    def _resolve(self, result: Any, error: BaseException | None) -> None:
        self._box.post(self._future, result, error)

    def orphan(self) -> None:
        self._claims.clear()

    def discard(self) -> bool:
        if not self._claim():
            return False
        self._box.post(self._future, None, CancelledError())
        self.note_cancelled()
        return True

    def leave(self) -> None:
        """Do without its result, and without running it if it does not run yet."""
        if self._claim():
            self.note_cancelled()
