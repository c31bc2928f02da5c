"""An event loop whose time jumps to the next timer instead of passing."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["VirtualLoop", "run"]

T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):
    """Reports what is ready now; what it would have waited for is added to the loop's time."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            # Nothing is scheduled: only another thread can go on from here.
            return super().select(None)
        ready = super().select(0)
        if not ready and timeout > 0:
            self.loop.jump(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """
    A loop on which sleeping takes no time: when nothing is ready, the next timer is due.

    Programs run the same way each time; threads that report back do so at some virtual time.
    """

    def __init__(self, start: float = 1000.0) -> None:
        selector = _JumpingSelector()
        super().__init__(selector)
        selector.loop = self
        self._now = start
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self._now += seconds

    async def shutdown_default_executor(
        self,
        timeout: float | None = None,  # noqa: ASYNC109  # it is called so there
    ) -> None:
        # From 3.12 on a runner sets a time limit, which is over at once on this clock.
        await super().shutdown_default_executor()


def run(main: Coroutine[object, object, T]) -> T:
    """Run *main* on a new virtual loop, as ``asyncio.run`` does on a real one."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
