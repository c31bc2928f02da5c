"""Loaders that a test lets go when it likes, and steps of an event loop."""

from __future__ import annotations

import asyncio

__all__ = ["HeldLoader", "Source", "SourceError", "settle"]


async def settle(steps: int = 10) -> None:
    """Let the event loop take some steps; without time passing, that is all it has to do."""
    for _ in range(steps):
        await asyncio.sleep(0)


class HeldLoader:
    """
    A coroutine function whose calls wait until they are released.

    Call number n, counted from 1, returns ``"<first argument> n"``.
    """

    def __init__(self) -> None:
        self.calls: list[object] = []
        self.cancelled: list[int] = []
        self._gates: list[asyncio.Event] = []

    async def __call__(self, key: object = "nothing") -> str:
        self.calls.append(key)
        number = len(self.calls)
        gate = asyncio.Event()
        self._gates.append(gate)
        try:
            await gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        return f"{key} {number}"

    def release(self, *numbers: int) -> None:
        """Let these calls return, or all that there are."""
        for number in numbers or range(1, len(self._gates) + 1):
            self._gates[number - 1].set()

    def forget(self) -> None:
        """Let go of what the calls wait for, and with it of their event loops."""
        self._gates.clear()


class SourceError(Exception):
    """A `Source` fails."""


class Source:
    """A loader that returns "<key> <number of the call>", or fails while *fails*."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.calls: list[str] = []
        self.fails = False
        self.seconds = seconds

    async def __call__(self, key: str) -> str:
        self.calls.append(key)
        number = len(self.calls)
        await asyncio.sleep(self.seconds)
        if self.fails:
            raise SourceError(key)
        return f"{key} {number}"
