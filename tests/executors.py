"""Tasks for executors on threads: one that waits until it is let go, and one that fails."""

from __future__ import annotations

import threading

from tests.threads import LIMIT

__all__ = ["WORKERS", "Gate", "fail"]

#: How many workers an executor has that is to run tasks side by side.
WORKERS = 8


class Gate:
    """A task that tells that it runs, and waits until it is let go."""

    def __init__(self) -> None:
        self.running = threading.Event()
        self.go = threading.Event()

    def __call__(self, value: object = None) -> object:
        self.running.set()
        assert self.go.wait(LIMIT)
        return value


def fail(error: BaseException) -> None:
    raise error
