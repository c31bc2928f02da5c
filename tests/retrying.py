"""Functions that fail as often as a test says, and delays without chance."""

from __future__ import annotations

import asyncio

__all__ = ["Flaky", "Oops", "Steady", "now"]


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
