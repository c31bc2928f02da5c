"""Threads that cannot hang a test, and that hand their outcome over."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LIMIT", "Spawned", "spawn"]

P = ParamSpec("P")
R = TypeVar("R")

#: Seconds after which something that should have happened has not.
LIMIT = 20.0


class Spawned(Generic[R]):
    """A call that runs in a thread of its own."""

    def __init__(self, call: Callable[[], R]) -> None:
        self._call = call
        self._value: list[R] = []
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._value.append(self._call())
        except BaseException as error:
            self.error = error

    def wait(self) -> Spawned[R]:
        """Wait for the end of the thread."""
        self._thread.join(LIMIT)
        assert not self._thread.is_alive(), "the thread hangs"
        return self

    def result(self) -> R:
        """Wait for the end of the thread, and return or raise what the call did."""
        self.wait()
        if self.error is not None:
            raise self.error
        return self._value[0]


def spawn(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Spawned[R]:
    """Call a function in a thread."""
    return Spawned(lambda: function(*args, **kwargs))
