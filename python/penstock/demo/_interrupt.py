"""Ends the demo early, exactly once: Ctrl-C, a termination signal or the deadline."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Interrupt"]

_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP")


class Interrupt:
    """
    Cancels the task that enters it, once, and remembers why.

    A second Ctrl-C changes nothing, so that it cannot cut the clean-up short, which is bounded
    by itself.

    Args:
        deadline: Seconds from now.
    """

    __slots__ = ("_deadline", "_handled", "_task", "_timer", "signal", "too_late")

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._handled: list[signal.Signals] = []
        self.signal: signal.Signals | None = None
        self.too_late = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._deadline, self._request, None)
        # Not on Windows, nor outside the main thread: Ctrl-C is then a KeyboardInterrupt.
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            for name in _SIGNALS:
                number = getattr(signal, name, None)
                if number is not None:
                    loop.add_signal_handler(number, self._request, number)
                    self._handled.append(number)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        loop = asyncio.get_running_loop()
        for number in self._handled:
            loop.remove_signal_handler(number)

    def _request(self, number: signal.Signals | None) -> None:
        if self.signal is not None or self.too_late:
            return
        self.signal = number
        self.too_late = number is None
        self._task.cancel()
