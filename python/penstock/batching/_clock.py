"""A timer of the caller's that may fail without anybody losing an item."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from penstock.flow._checks import check_number

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Clock"]

#: Seconds, about three centuries either way, that the ring can count in nanoseconds.
_MAX_SECONDS = 9e9

logger = logging.getLogger("penstock.batching")


class Clock:
    """Reads a timer; while that fails, its time stands still."""

    __slots__ = ("_has_failed", "_last", "_timer")

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer = timer
        self._last = 0.0
        self._has_failed = False

    def __call__(self) -> float:
        try:
            seconds = _check(self._timer())
        except Exception:
            if not self._has_failed:
                self._has_failed = True
                logger.exception("%r failed, time stands still; said once", self._timer)
        else:
            self._last = seconds
        return self._last


def _check(reading: object) -> float:
    seconds = check_number("what timer returns", reading)
    if abs(seconds) > _MAX_SECONDS:
        raise ValueError(f"what timer returns must be at most {_MAX_SECONDS:g}, got {seconds!r}")
    return seconds
