"""Functions that fail as often as a test says, and delays without chance."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from penstock.bench._virtual_loop import run

__all__ = ["AT_ONCE", "Flaky", "Kind", "Oops", "Steady", "now"]

#: Delays of nothing, for what is not about them.
AT_ONCE: Any = {"base": 0, "sleep": lambda _: None}


def now() -> float:
    """What time it is on the running loop."""
    return asyncio.get_running_loop().time()


class Oops(Exception):
    """What is worth another attempt."""


class Steady:
    """Draws the same number each time."""

    def __init__(self, value: float = 1.0) -> None:
        self.value = value

    def random(self) -> float:
        return self.value


class Flaky:
    """
    Something that fails some times, and succeeds from then on.

    Its calls return which one it was, counted from 1.
    """

    def __init__(self, *errors: BaseException | type[BaseException]) -> None:
        self.errors = list(errors)
        self.calls = 0
        #: When coroutines were started, on the clock of the loop.
        self.times: list[float] = []

    def call(self) -> int:
        self.calls += 1
        if self.calls <= len(self.errors):
            raise self.errors[self.calls - 1]
        return self.calls

    async def call_later(self) -> int:
        if asyncio._get_running_loop() is not None:
            self.times.append(now())
        await asyncio.sleep(0)
        return self.call()


class Kind:
    """What is retried: a function or a coroutine function."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_async = name == "coroutine function"

    def of(self, flaky: Flaky) -> Callable[[], Any]:
        return flaky.call_later if self.is_async else flaky.call

    def outcome(self, function: Callable[[], Any]) -> Any:
        """Call it, on a loop if it needs one."""
        return run(function()) if self.is_async else function()

    def outcome_by_hand(self, function: Callable[[], Any]) -> Any:
        """The same without a loop, which has ideas of its own about some exceptions."""
        if not self.is_async:
            return function()
        coroutine = function()
        try:
            while True:
                coroutine.send(None)
        except StopIteration as end:
            return end.value
