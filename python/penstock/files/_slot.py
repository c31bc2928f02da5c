"""What a writer knows of one file: the content to come, and the one that is being written."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import TimerHandle
    from concurrent.futures import Future

    from penstock.files._settling import Waiter

__all__ = ["Slot"]


class Slot:
    """One file that is written now, or soon."""

    __slots__ = ("content", "due", "job", "path", "size", "timer", "waiters", "witnesses")

    def __init__(self, path: str) -> None:
        self.path = path
        #: What is to be written next, and who waits for it; None and nobody if there is nothing.
        self.content: bytes | None = None
        self.waiters: list[Waiter] = []
        #: Ends the window in which newer content may take its place.
        self.timer: TimerHandle | None = None
        #: Whether that has ended.
        self.due = False
        #: The replacement that a thread does now, how many bytes it has, and who waits for that.
        self.job: Future[float] | None = None
        self.size = 0
        self.witnesses: list[Waiter] = []

    @property
    def pending(self) -> int:
        """How many contents are not on the disk yet."""
        return (self.content is not None) + (self.job is not None)

    def stop_timer(self) -> None:
        """Let the window end some other way."""
        timer, self.timer = self.timer, None
        if timer is not None:
            timer.cancel()
