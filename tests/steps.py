"""Programs for an event loop that must leave nothing behind, and something done at each step."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator
from itertools import count
from typing import Any, TypeVar

from tests.loading import settle

from penstock.bench._virtual_loop import VirtualLoop

__all__ = ["now", "run", "steps_of", "tasks_left"]

T = TypeVar("T")


class SteppedLoop(VirtualLoop):
    """A virtual loop that does something of its own before one of its steps."""

    def __init__(self) -> None:
        super().__init__()
        self._steps = 0
        self._plan: dict[int, Callable[[], object]] = {}

    def in_steps(self, steps: int, do: Callable[[], object]) -> None:
        """Call *do* before the step that is so many after this one."""
        self._plan[self._steps + steps] = do

    def _run_once(self) -> None:
        self._steps += 1
        do = self._plan.pop(self._steps, None)
        if do is not None:
            do()
        super()._run_once()  # type: ignore[misc]


def now() -> float:
    """What time it is on the running loop."""
    return asyncio.get_running_loop().time()


def tasks_left() -> int:
    """How many tasks there are beside the running one."""
    return len(asyncio.all_tasks()) - 1


async def _watch(main: Coroutine[Any, Any, T], collect: bool) -> T:
    reports: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
    result = await main
    assert tasks_left() == 0, asyncio.all_tasks()
    await settle()  # what is finalized by the loop only
    if collect:
        gc.collect(1)  # what a test has made is young
        await settle()
    assert tasks_left() == 0, asyncio.all_tasks()
    assert reports == []
    return result


def run(main: Coroutine[Any, Any, T], *, collect: bool = True) -> T:
    """
    Run *main* on a virtual loop, and look at what it leaves behind.

    When it returns there may be no task, and nothing to complain about for asyncio: errors that
    nobody has seen, say; with *collect*, not among the garbage either.
    """
    with asyncio.Runner(loop_factory=SteppedLoop) as runner:
        return runner.run(_watch(main, collect))


def steps_of(
    program: Callable[[], Coroutine[Any, Any, T]], *, twice: int = 0
) -> Iterator[tuple[int, asyncio.Task[T]]]:
    """
    Run a program again and again, cancelled before its first step, its second, ... its last.

    Args:
        program: Makes the coroutine.
        twice: How many steps after the first time it is cancelled a second time; 0: it is not.

    Returns:
        The number of the step, and the task when it has ended: cancelled, or another way.
    """
    for step in count():
        cancelled: list[bool] = []

        async def main(step: int, cancelled: list[bool]) -> asyncio.Task[T]:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, SteppedLoop)
            task = loop.create_task(program())
            loop.in_steps(step + 1, lambda: cancelled.append(task.cancel()))
            if twice:
                loop.in_steps(step + 1 + twice, task.cancel)
            await asyncio.wait([task])
            return task

        task = run(main(step, cancelled), collect=step % 20 == 0)
        yield step, task
        if cancelled != [True]:  # it had ended before
            assert step > 3
            return
