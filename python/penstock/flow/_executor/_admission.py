"""Whether a task with options, or one of an executor with a limit, is accepted now."""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from penstock._waiters import refuse_loop
from penstock.errors import AcquireTimeout, LimitExceeded
from penstock.flow._executor._here import here

if TYPE_CHECKING:
    from penstock._waiters import Waiters
    from penstock.flow._executor._core import Core
    from penstock.flow._executor._extras import Extras
    from penstock.flow._executor._task import Task

__all__ = ["Admission"]


class Admission:
    """
    Lets tasks with extras into a queue that may be limited.

    Args:
        core: Has the queue, and the places in it.
        rejects: Whether a task for which there is no place is turned away, instead of waiting.
    """

    __slots__ = ("_core", "_rejects")

    def __init__(self, core: Core, *, rejects: bool) -> None:
        self._core = core
        self._rejects = rejects

    def admit(self, task: Task) -> None:
        """Accept a task, in a thread that may wait."""
        extras, places = _extras_of(task), self._core.places
        if places is None or self._finds_place(extras, places):
            self.admit_anyway(task)
            return
        refuse_loop("await executor.run()")
        try:
            places._block(1, 0, _left(extras))
        except AcquireTimeout:
            self._expire(task)
        else:
            extras.place.append(True)
            self.admit_anyway(task)

    async def admit_later(self, task: Task) -> None:
        """Accept a task, in an event loop."""
        extras, places = _extras_of(task), self._core.places
        if places is None or self._finds_place(extras, places):
            self.admit_anyway(task)
            return
        try:
            await places.acquire(deadline=_left(extras))
        except AcquireTimeout:
            self._expire(task)
        else:
            extras.place.append(True)
            self.admit_anyway(task)

    def admit_anyway(self, task: Task) -> None:
        """Accept a task, with or without a place."""
        core, extras = self._core, _extras_of(task)
        core.accept(task, extras.priority)
        if extras.is_released:
            # It had ended before it was in: by its deadline, or by another one who has the key.
            task.forget()
        if extras.due is not None:
            with suppress(RuntimeError):  # no more threads: it is seen late that its time is over
                extras.alarm = core.keeper.set(extras.due, task.expire)
            if extras.is_released and extras.alarm is not None:
                extras.alarm.cancel()

    def _finds_place(self, extras: Extras, places: Waiters) -> bool:
        """Return whether the task may be accepted at once; raise if it may not wait."""
        if places.try_acquire():
            extras.place.append(True)
            return True
        core = self._core
        if self._rejects:
            core.ledger.count(rejected=1)
            number = places.limit
            message = f"{number} tasks are pending already, which is all that may be"
            raise LimitExceeded(message, waiting=number, max_waiting=number)
        # A worker that waits for a place may be the one to make room.
        return here.worker is not None and here.worker.core is core

    def _expire(self, task: Task) -> None:
        self._core.count_submitted()
        task.expire()


def _extras_of(task: Task) -> Extras:
    assert task.extras is not None
    return task.extras


def _left(extras: Extras) -> float | None:
    return None if extras.due is None else max(extras.due - monotonic(), 0.0)
