"""What only tasks with options have."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.flow._executor._options import Options
    from penstock.flow._executor._timekeeper import Alarm

__all__ = ["Extras"]


class Extras:
    """What only tasks with options have."""

    __slots__ = (
        "alarm", "due", "is_overdue", "is_released", "key", "lease", "place", "priority",
        "retries", "seconds", "validate",
    )  # fmt: skip

    def __init__(self, options: Options, seconds: float | None) -> None:
        self.priority = options.priority
        self.validate = options.validate
        self.key = options.key
        self.retries = options.retries
        #: How long the task may take from now, and when that is over.
        self.seconds = seconds
        self.due = None if seconds is None else monotonic() + seconds
        self.alarm: Alarm | None = None
        #: Not empty if it has one of the places for pending tasks. Popped by who gives that back.
        self.place: list[bool] = []
        #: How to end what runs it. Taken out by whoever is first: its end, or its deadline.
        self.lease: list[Callable[[], object]] = []
        self.is_overdue = False
        #: Whether nobody has to be called when its time is over.
        self.is_released = False
