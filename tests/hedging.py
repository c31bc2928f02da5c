"""A server whose answers take as long as a test says."""

from __future__ import annotations

import asyncio

from tests.steps import now

__all__ = ["Fatal", "Oops", "Server"]


class Oops(Exception):
    """What a call fails with."""


class Fatal(BaseException):
    """What is no Exception."""


class Server:
    """
    Answers call number n after so many seconds: with n, or with an error.

    Args:
        *answers: Seconds, or seconds and an error; the last one is repeated.
        goodbye: How long a call takes to go when it is cancelled.
    """

    def __init__(
        self,
        *answers: float | tuple[float, BaseException | type[BaseException]],
        goodbye: float = 0,
    ) -> None:
        self.answers = answers
        self.goodbye = goodbye
        self.started: list[float] = []
        self.cancelled: list[int] = []
        self.running = 0

    async def __call__(self) -> int:
        self.started.append(now())
        number = len(self.started) - 1
        answer = self.answers[min(number, len(self.answers) - 1)]
        seconds, error = answer if isinstance(answer, tuple) else (answer, None)
        self.running += 1
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled.append(number)
            await asyncio.sleep(self.goodbye)
            raise
        finally:
            self.running -= 1
        if error is not None:
            raise error
        return number

    @property
    def delays(self) -> list[float]:
        """When calls were made, after the first one."""
        return [at - self.started[0] for at in self.started]
