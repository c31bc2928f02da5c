"""What tests of loaders share: functions that load many keys, and know what they were asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

__all__ = ["HeldSource", "Oops", "Source"]


class Oops(Exception):
    """What a load fails with."""


class Source:
    """Loads keys at once: the value of one is ``"value of <key>"``, or what it is told."""

    def __init__(self, answers: Mapping[object, object] | None = None) -> None:
        self.answers = dict(answers or {})
        #: The keys of each call.
        self.calls: list[list[object]] = []

    async def __call__(self, keys: list[object]) -> Sequence[object]:
        self.calls.append(list(keys))
        return [self.answers.get(key, f"value of {key}") for key in keys]


class HeldSource:
    """Loads keys when it is told to; call number n, counted from 1, answers ``"<key> n"``."""

    def __init__(self) -> None:
        self.calls: list[list[object]] = []
        self.cancelled: list[int] = []
        self._gates: list[asyncio.Future[None]] = []

    async def __call__(self, keys: list[object]) -> Sequence[object]:
        self.calls.append(list(keys))
        number = len(self.calls)
        gate = asyncio.get_running_loop().create_future()
        self._gates.append(gate)
        try:
            await gate
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        return [f"{key} {number}" for key in keys]

    def release(self, number: int) -> None:
        """Let a call return."""
        self._gates[number - 1].set_result(None)

    def forget(self) -> None:
        """Let go of what the calls wait for, and with it of their event loops."""
        self._gates.clear()

    def fail(self, number: int, error: BaseException) -> None:
        """Let a call raise."""
        self._gates[number - 1].set_exception(error)
