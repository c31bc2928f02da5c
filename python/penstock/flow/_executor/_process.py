"""A process that runs tasks, as its parent sees it."""

from __future__ import annotations

import pickle
import select
from contextlib import suppress
from multiprocessing import connection
from threading import Lock
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from penstock.errors import WorkerLost
from penstock.flow._executor import _lifetime
from penstock.flow._executor._child import READY, RemoteTraceback, serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import BaseContext

__all__ = ["InitializerError", "Process", "unpack"]

#: Seconds after which to see whether a process that does not answer is still there.
_LOOK = 1.0

#: Seconds that a process has to end when there is nothing more to be done.
_GRACE = 5.0

# While a process is made, its end of the channel is open here: a fork at this moment would keep it
# open, and the death of that process would go unnoticed.
_making = Lock()
_processes: WeakSet[Process] = WeakSet()


class InitializerError(Exception):
    """The initializer has raised what this is caused by."""


class Process:
    """
    A process that runs one task at a time.

    Args:
        context: How it is started.
        name: What it is called.
        initializer: Is called there first.
        initargs: With what.

    Raises:
        Whatever prevents it from being started.
    """

    def __init__(
        self,
        context: BaseContext,
        name: str,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
    ) -> None:
        with _making:
            self._channel, other = context.Pipe()
            _processes.add(self)  # before it is forked: it would keep our end open itself
            try:
                self._process = context.Process(  # type: ignore[attr-defined]
                    target=serve, args=(other, initializer, initargs), name=name
                )
                self._process.start()
            except BaseException:
                self._channel.close()
                raise
            finally:
                other.close()
        self._is_ready = False
        self._wait = _waiter(self._channel.fileno(), self._process.sentinel)

    def exchange(self, request: bytes) -> bytes:
        """
        Have it run a task.

        Args:
            request: A function, its arguments and its keyword arguments, pickled.

        Returns:
            What `unpack` reads.

        Raises:
            WorkerLost: The process is dead.
            InitializerError: It could not begin.
        """
        try:
            if not self._is_ready:
                greeting = self._receive()
                if greeting != READY:
                    raise InitializerError from _outcome(greeting)[1]
                self._is_ready = True
            self._channel.send_bytes(request)
            return self._receive()
        except (EOFError, OSError):
            raise self._loss() from None

    def kill(self) -> None:
        """End it at once; whoever waits for its answer sees that."""
        with suppress(ValueError, OSError):  # closed meanwhile
            self._process.kill()

    def close(self) -> None:
        """Let it end; kill it when it does not."""
        self._channel.close()
        if self._exitcode(_GRACE) is None:
            self._process.kill()
            self._exitcode(_GRACE)
        with _making, suppress(ValueError):  # not even that has ended it
            self._process.close()

    def drop(self) -> None:
        """Give back what a fork of the parent has of it."""
        with suppress(OSError):
            self._channel.close()

    def _receive(self) -> bytes:
        # Its children may have the channel open when it is dead: that is not the end of the file.
        while not (ready := self._wait()):
            if ready is False or self._exitcode(0.0) is not None:
                raise EOFError
        return self._channel.recv_bytes()

    def _exitcode(self, seconds: float) -> int | None:
        """Wait until it has ended; its exit code, None if it has not ended in time."""
        end = monotonic() + seconds
        while True:
            # One at a time: multiprocessing asks for it whenever a process is started, in any
            # thread, and the code can be read once.
            with _making:
                code: int | None = self._process.exitcode
            left = end - monotonic()
            if code is not None or left <= 0:
                return code
            # Not for long: children of it may keep the sentinel open, and it closes a little early.
            if connection.wait([self._process.sentinel], min(left, 0.05)):
                sleep(0.001)

    def _loss(self) -> WorkerLost:
        """Return what to raise when it is dead, which it is now if it was not."""
        code = self._exitcode(_GRACE / 5)
        what = "ran the task" if self._is_ready else "was to run the task, and had not begun,"
        if code is None:
            how = "does not answer any more"
        elif code < 0:
            how = f"was killed by signal {-code}"
        else:
            how = f"ended with exit code {code}"
        return WorkerLost(f"the process that {what} {how}", exitcode=code)


def unpack(answer: bytes) -> Any:
    """
    Return what a task has returned, or raise what it has raised.

    Raises:
        UnpicklingError: That cannot be had here.
    """
    is_good, result = _outcome(answer)
    if is_good:
        return result
    raise result


def _outcome(answer: bytes) -> tuple[bool, Any]:
    text = ""
    try:
        is_good, result = pickle.loads(answer)
        if not is_good:
            result, text = result
            result = pickle.loads(result)
    except Exception as problem:
        message = f"what the task returned or raised cannot be unpickled: {problem!r}"
        is_good, result = False, pickle.UnpicklingError(message)
        result.__context__ = problem
    if text:
        result.__cause__ = RemoteTraceback(text)
    return is_good, result


def _waiter(channel: int, sentinel: int) -> Callable[[], bool | None]:
    """Return what waits for the channel: False: there will be nothing, None: it took too long."""
    if not hasattr(select, "poll"):
        return lambda: _is_readable(connection.wait([channel, sentinel], _LOOK), channel)
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    poll.register(sentinel, select.POLLIN)
    milliseconds = _LOOK * 1000
    return lambda: _is_readable([fd for fd, _ in poll.poll(milliseconds)], channel)


def _is_readable(ready: list[Any], channel: int) -> bool | None:
    return channel in ready if ready else None


def _in_fork() -> None:
    global _making  # noqa: PLW0603  # a thread may hold it that does not exist here
    _making = Lock()
    for process in list(_processes):
        process.drop()


_lifetime.at_fork(_in_fork)
