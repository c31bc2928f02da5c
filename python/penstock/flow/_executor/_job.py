"""One task of an executor on its way: claimed once, resolved once."""

from __future__ import annotations

from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any

from penstock.errors import TaskExpired
from penstock.flow._executor._check import Check

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from penstock.flow._executor._core import Core
    from penstock.flow._executor._extras import Extras
    from penstock.flow._executor._worker import Worker

__all__ = ["Job"]

_NOTHING: dict[str, Any] = {}


class Job:
    """
    A call that is to be made by a worker.

    The one to whom `_claim` returns True runs it, or resolves it without that; nobody else does.
    """

    if not TYPE_CHECKING:  # one subclass has slots for what follows, the other one a dict
        __slots__ = ()

    core: Core
    function: Callable[..., Any] | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    context: Context | None
    extras: Extras | None
    #: When it was submitted.
    since: float

    def _claim(self) -> bool:
        raise NotImplementedError

    def _resolve(self, result: Any, error: BaseException | None) -> None:
        """Tell those who wait; nobody but the one who has claimed it calls this, once."""
        raise NotImplementedError

    def perform(self, worker: Worker) -> None:
        """Run it, unless it is claimed already."""
        if not self._claim() or (self.extras is not None and not self._begin(self.extras)):
            return
        start = perf_counter()
        worker.wait_seconds += start - self.since
        outer, worker.is_busy = worker.is_busy, True
        context, result = self.context, None
        error: BaseException | None = None
        try:
            if context is None:
                result = worker.call(self)
            else:
                result = context.run(self.function, *self.args, **self.kwargs)  # type: ignore[arg-type]
        except BaseException as raised:
            # What raised it comes first, not how we came there.
            error = raised
            error.__traceback__ = raised.__traceback__ and raised.__traceback__.tb_next
        self.function = self.context = None
        self.args, self.kwargs = (), _NOTHING
        if not outer:  # else it is part of the time of the task that waits for it
            worker.run_seconds += perf_counter() - start
        worker.is_busy = outer
        if self.extras is not None and self.extras.validate is not None and error is None:
            self.core.add_check(worker, Check(self, context, result))
        else:
            self.settle(worker, result, error)
        # The frames of an error refer back to this one: no cycle through the future.
        del self, error

    def settle(self, worker: Worker, result: Any, error: BaseException | None) -> None:
        """Resolve it with what came of it."""
        extras = self.extras
        if error is None:
            worker.completed += 1
        elif extras is not None and extras.is_overdue:
            worker.expired += 1
        else:
            worker.failed += 1
        if extras is not None:
            self._release(extras)
        ledger = self.core.ledger
        try:
            self._resolve(result, error)
        finally:
            ledger.tasks.pop(self, None)
            if ledger.barriers:
                ledger.lift(self)

    def expire(self) -> None:
        """Resolve it, for its time is over; if it runs, end what can be ended."""
        extras = self.extras
        if extras is None:
            return
        if self._claim():
            self._expire(extras)
            return
        try:
            end = extras.lease.pop()
        except IndexError:
            return
        extras.is_overdue = True
        end()

    def reject(self, error: BaseException) -> None:
        """Resolve it with an error if it does not run."""
        if self._claim():
            self.core.ledger.count(failed=1)
            self._drop(error)

    def discard(self) -> bool:
        """Cancel it if it does not run; whether that was so."""
        raise NotImplementedError

    def refuse(self, error: BaseException) -> None:
        """Resolve it with the error for which it is not accepted, if it does not run."""
        if self._claim():
            self._drop(error)

    def withdraw(self) -> None:
        """Forget it, after it was claimed because it is not accepted after all."""
        self._let_go()
        if self.extras is not None:
            self._release(self.extras)  # first: see `Admission.admit_anyway`
            self._leave_place(self.extras)
        self.core.ledger.leave(self)

    def forget(self) -> None:
        """Leave what it has entered after its end."""
        if self.extras is not None:
            self._leave_place(self.extras)
        self.core.ledger.leave(self)

    def orphan(self) -> None:
        """Be done, in a fork of the process that it is a task of."""

    def note_cancelled(self) -> None:
        """Forget it, after it was claimed in order to cancel it."""
        self.core.ledger.count(cancelled=1)
        self.withdraw()

    def _begin(self, extras: Extras) -> bool:
        """Leave the place of pending tasks; False if its time is over."""
        if extras.due is not None and extras.due <= monotonic():
            self._expire(extras)
            return False
        self._leave_place(extras)
        return True

    def _expire(self, extras: Extras) -> None:
        self.core.ledger.count(expired=1)
        seconds = extras.seconds or 0.0
        message = f"the task did not start within {seconds:g} s"
        self._drop(TaskExpired(message, seconds=seconds))

    def _drop(self, error: BaseException) -> None:
        """Resolve with an error what was claimed and does not run."""
        self._let_go()
        if self.extras is not None:
            self._release(self.extras)  # first: see `Admission.admit_anyway`
            self._leave_place(self.extras)
        try:
            self._resolve(None, error)
        finally:
            self.core.ledger.leave(self)

    def _leave_place(self, extras: Extras) -> None:
        try:
            extras.place.pop()
        except IndexError:
            return
        self.core.release_place()

    def _release(self, extras: Extras) -> None:
        """Let nobody else find it any more."""
        extras.is_released = True
        if extras.alarm is not None:
            extras.alarm.cancel()
        if extras.key is not None:
            self.core.ledger.forget(extras.key, self)

    def _let_go(self) -> None:
        """Keep alive no longer what was only of use for running it."""
        self.function = self.context = None
        self.args, self.kwargs = (), _NOTHING
