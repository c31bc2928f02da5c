"""A thread that has tasks run by a process."""

from __future__ import annotations

import multiprocessing
from time import monotonic
from typing import TYPE_CHECKING, Any

from penstock.errors import TaskExpired, WorkerLost
from penstock.flow._executor._child import dumps
from penstock.flow._executor._process import InitializerError, Process, unpack
from penstock.flow._executor._worker import Worker, broken_pool

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import BaseContext

    from penstock.flow._executor._core import Core
    from penstock.flow._executor._extras import Extras
    from penstock.flow._executor._job import Job

__all__ = ["ProcessWorker", "context_of"]


def context_of(mp_context: str | BaseContext | None) -> BaseContext:
    """
    Return how processes are started.

    Raises:
        TypeError, ValueError: *mp_context* is neither a context nor the name of a method.
    """
    if mp_context is None:
        methods = multiprocessing.get_all_start_methods()
        mp_context = "forkserver" if "forkserver" in methods else "spawn"
    if isinstance(mp_context, str):
        try:
            return multiprocessing.get_context(mp_context)
        except ValueError:
            methods = multiprocessing.get_all_start_methods()
            message = f"mp_context must be one of {methods}, got {mp_context!r}"
            raise ValueError(message) from None
    if not hasattr(mp_context, "Process") or not hasattr(mp_context, "Pipe"):
        kind = type(mp_context).__name__
        raise TypeError(f"mp_context must be a context of multiprocessing or a str, got {kind}")
    return mp_context


class ProcessWorker(Worker):
    """
    One worker: a thread, and a process that is started for its first task and after each loss.
    """

    def __init__(
        self,
        core: Core,
        number: int,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        context: BaseContext,
    ) -> None:
        super().__init__(core, number, None, ())
        self._context = context
        self._initializer_there = initializer, initargs
        self._process: Process | None = None

    def call(self, job: Job) -> Any:
        """Have a task run."""
        extras = job.extras
        request = _pickled(job.function, job.args, job.kwargs)
        del job  # no cycle through this frame
        retries = 0 if extras is None else extras.retries
        while True:
            try:
                return self._call(request, extras)
            except WorkerLost:
                self.core.ledger.count(lost=1)
                if not retries:
                    raise
                retries -= 1

    def _call(self, request: bytes, extras: Extras | None) -> Any:
        if self._process is None:
            initializer, initargs = self._initializer_there
            self._process = Process(self._context, self.thread.name, initializer, initargs)
        if extras is None or extras.due is None:
            answer = self._exchange(self._process, request)
        else:
            answer = self._exchange_in_time(self._process, request, extras)
        return unpack(answer)

    def _exchange_in_time(self, process: Process, request: bytes, extras: Extras) -> bytes:
        """Have a task run by a process that is killed when its time is over."""
        extras.lease.append(process.kill)
        try:
            if extras.due is not None and extras.due <= monotonic():
                extras.is_overdue = True  # it was, before there was anybody to be killed
                raise self._late(extras)
            return self._exchange(process, request)
        except WorkerLost:
            if extras.is_overdue:
                raise self._late(extras) from None
            raise
        finally:
            if not self._end_lease(extras):
                # It is killed at this moment, and of no use for the next task.
                self._discard()

    def _exchange(self, process: Process, request: bytes) -> bytes:
        try:
            return process.exchange(request)
        except InitializerError as error:
            make_error = broken_pool(error.__cause__)
            self.core.fail(make_error)
            raise make_error() from error.__cause__
        except BaseException:  # whatever it was, the next answer would be that of another task
            self._discard()
            raise

    def _end_lease(self, extras: Extras) -> bool:
        """Let the process be killed no more; False if it is."""
        try:
            extras.lease.pop()
        except IndexError:
            return False
        return True

    def _late(self, extras: Extras) -> TaskExpired:
        seconds = extras.seconds or 0.0
        return TaskExpired(f"the task did not end within {seconds:g} s", seconds=seconds)

    def _discard(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.close()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and not self.is_retired:
            process.close()


def _pickled(function: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    try:
        return dumps((function, args, kwargs))
    except Exception as error:
        name = getattr(function, "__qualname__", None) or repr(function)
        error.add_note(f"{name} or what it is called with cannot be sent to another process")
        raise
