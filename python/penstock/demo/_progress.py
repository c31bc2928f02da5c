"""Progress on standard error: one line that is rewritten on a terminal, sparse lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Progress"]

_REDRAW_SECONDS: Final = 0.1
_LINE_SECONDS: Final = 5.0


class Progress:
    """
    Shows how far the current stage is.

    Args:
        stream: Where to write; None is ``sys.stderr``.
        clock: Seconds; only decides how often a line is written.
    """

    __slots__ = ("_clock", "_interval", "_label", "_last", "_stream", "_terminal", "_width")

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._terminal = self._stream.isatty()
        self._interval = _REDRAW_SECONDS if self._terminal else _LINE_SECONDS
        self._clock = clock
        self._last = clock()
        self._label = ""
        self._width = 0

    def stage(self, label: str) -> None:
        """
        Begin a stage, ending the one before.
        """
        self.clear()
        self._label = label
        self._last = self._clock()
        self._write(f"{label} ...")

    def update(self, done: int, total: int) -> None:
        """
        Say that *done* of *total* steps of the stage are done; most calls write nothing.
        """
        now = self._clock()
        if now - self._last >= self._interval:
            self._last = now
            self._write(f"{self._label}: {done:,} of {total:,} ({done * 100 // max(total, 1)} %)")

    def clear(self) -> None:
        """
        Take the line off the terminal, so that something else can be printed.
        """
        if self._terminal and self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()
            self._width = 0

    def _write(self, text: str) -> None:
        if not self._terminal:
            self._stream.write(text + "\n")
        else:
            # One column less: some terminals wrap when the last one is written.
            text = text[: shutil.get_terminal_size().columns - 1]
            self._stream.write("\r" + text.ljust(self._width))
            self._width = len(text)
        self._stream.flush()
