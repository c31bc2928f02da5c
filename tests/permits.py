"""Subclasses of the native classes of flow control that write down what they are told."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import ModuleType

__all__ = ["Crew", "make_breaker", "make_gate", "make_queue"]


@cache
def queue_class(backend: ModuleType) -> type:
    base: Any = backend.WaiterQueue

    class Queue(base):
        def __init__(self, *args: object, **options: object) -> None:
            self.told: list[tuple[object, ...]] = []
            #: What a method does beside writing down, by its name.
            self.acts: dict[str, Callable[..., object]] = {}
            self._init(*args, **options)

        def tell(self, *what: object) -> object:
            self.told.append(what)
            name, *args = what
            act = self.acts.get(str(name))
            return None if act is None else act(self, *args)

        def _wait(self, *args: object) -> object:
            return self.tell("wait", *args)

        def _block(self, *args: object) -> object:
            return self.tell("block", *args)

        def _wake(self, waiters: object) -> object:
            return self.tell("wake", waiters)

        def _adapt(self, *figures: object) -> object:
            return self.tell("adapt", *figures)

        def _outcome(self, kind: object) -> object:
            told = self.tell("outcome", kind)
            return "dropped" if told is None else told

    return Queue


def make_queue(backend: ModuleType, *args: object, **options: object) -> Any:
    """Make a queue; the arguments are those of ``_init``."""
    return queue_class(backend)(*args, **options)


@cache
def gate_class(backend: ModuleType) -> type:
    base: Any = backend.RateGate

    class Gate(base):
        def __init__(self, *args: object, **options: object) -> None:
            self.told: list[tuple[object, ...]] = []
            self._init(*args, **options)

        def _wait(self, *args: object) -> object:
            self.told.append(("wait", *args))
            return "waiting"

        def _block(self, *args: object) -> object:
            self.told.append(("block", *args))
            return "blocked"

    return Gate


def make_gate(backend: ModuleType, *args: object, **options: object) -> Any:
    """Make a gate; the arguments are those of ``_init``."""
    return gate_class(backend)(*args, **options)


class Refused(Exception):
    """What a breaker raises."""


@cache
def breaker_class(backend: ModuleType) -> type:
    base: Any = backend.Breaker

    class Breaker(base):
        Refused = Refused

        def __init__(self, **options: object) -> None:
            self.told: list[tuple[object, ...]] = []
            #: What a method does beside writing down, by its name.
            self.acts: dict[str, Callable[..., object]] = {}
            settings: dict[str, object] = {
                "count": 4, "seconds": None, "min_calls": 2, "failure_rate": 0.5,
                "slow_rate": 1.0, "slow_after": None, "trial_calls": 1, "lease": 30.0,
                "open_seconds": 10.0, "max_open_seconds": 60.0, "jitter": 0.0, "seed": 1,
            }  # fmt: skip
            self._init(**(settings | options))

        def tell(self, *what: object) -> object:
            self.told.append(what)
            name, *args = what
            act = self.acts.get(str(name))
            return None if act is None else act(self, *args)

        def _refuse(self, retry_after: float) -> object:
            told = self.tell("refuse", retry_after)
            if told is None:
                raise Refused(retry_after)
            return told

        def _changed(self, old: str, new: str) -> None:
            self.tell("changed", old, new)

        def _outcome(self, error: BaseException) -> object:
            told = self.tell("outcome", error)
            return "failure" if told is None else told

    return Breaker


def make_breaker(backend: ModuleType, **options: object) -> Any:
    """Make a breaker; *options* are those of ``_init`` that are not the usual ones."""
    return breaker_class(backend)(**options)


class Crew:
    """Tasks that live as long as a test, and do what they are told."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._inboxes: dict[int, asyncio.Queue[Any]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def run(self, number: int | None, call: Callable[[], object]) -> object:
        """Call something in a task, or in the thread when there is no number."""
        return call() if number is None else self._loop.run_until_complete(self._send(number, call))

    def do(self, number: int, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in a task."""
        return self._loop.run_until_complete(self._send(number, coroutine))

    async def _send(self, number: int, work: Any) -> object:
        inbox = self._inboxes.get(number)
        if inbox is None:
            inbox = self._inboxes[number] = asyncio.Queue()
            self._tasks.append(self._loop.create_task(self._work(inbox)))
        done = self._loop.create_future()
        inbox.put_nowait((work, done))
        return await done

    async def _work(self, inbox: asyncio.Queue[Any]) -> None:
        while True:
            work, done = await inbox.get()
            try:
                result = work() if callable(work) else await work
            except BaseException as error:
                done.set_exception(error)
            else:
                done.set_result(result)
            del work, done

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                self._loop.run_until_complete(task)
        self._loop.close()
