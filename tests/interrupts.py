"""Code that comes in between, wherever CPython lets a finalizer or a signal handler do so."""

from __future__ import annotations

import dis
import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType

__all__ = ["at_every_step"]

#: Instructions that allocate containers, which may start the collector, or jump backward.
_OPEN = ("BUILD_", "CALL_INTRINSIC", "GET_ITER", "JUMP_BACKWARD", "LIST_", "MAKE_FUNCTION")
#: Instructions after which pending signals and (from 3.12 on) collections are attended to.
_OPEN_AFTER = ("CALL",)


@cache
def _open_points(code: CodeType) -> frozenset[int]:
    """The offsets of the instructions before or during which other code may run."""
    points = set()
    after_call = False
    for instruction in dis.get_instructions(code):
        if after_call or instruction.opname.startswith(_OPEN):
            points.add(instruction.offset)
        after_call = instruction.opname.startswith(_OPEN_AFTER)
    return frozenset(points)


class _Interrupter:
    """A trace function that runs something at one point of the code under watch."""

    def __init__(self, package: str, step: int, interrupt: Callable[[], object]) -> None:
        self.package = package
        self.left = step
        self.interrupt = interrupt
        self.done = False

    def __call__(self, frame: FrameType, event: str, argument: object) -> object:
        if not str(frame.f_globals.get("__name__")).startswith(self.package):
            return None
        # First, or CPython 3.13 begins with the instructions after the next event only.
        frame.f_trace = self  # type: ignore[assignment]  # it returns itself
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        opens = event == "opcode" and frame.f_lasti in _open_points(frame.f_code)
        # The entry of a function is an open point too.
        if opens or event == "call":
            if not self.left:
                sys.settrace(None)
                self.done = True
                self.interrupt()
                return None
            self.left -= 1
        return self


def at_every_step(
    package: str, prepare: Callable[[], tuple[Callable[[], object], Callable[[], object]]]
) -> Iterator[int]:
    """
    Run an operation again and again, interrupted one step later each time.

    Args:
        package: Whose code is interrupted.
        prepare: Makes everything anew; returns the operation and the interruption.

    Yields:
        The step, after each run in which the interruption came.
    """
    before = sys.gettrace()
    step = 0
    while True:
        operation, interrupt = prepare()
        interrupter = _Interrupter(package, step, interrupt)
        sys.settrace(interrupter)  # type: ignore[arg-type]  # it returns itself
        try:
            operation()
        finally:
            sys.settrace(before)
        if not interrupter.done:
            return
        yield step
        step += 1
