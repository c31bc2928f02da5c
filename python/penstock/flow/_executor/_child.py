"""
The process that runs tasks for one worker.

It imports as little as possible: whatever tasks need comes with them.
"""

from __future__ import annotations

import os
import pickle
import signal
import traceback
from contextlib import suppress
from multiprocessing import connection, parent_process
from multiprocessing.reduction import ForkingPickler
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

__all__ = ["READY", "RemoteTraceback", "dumps", "serve"]

#: What the parent is told first, unless it is what the initializer raised.
READY = b"ready"


class RemoteTraceback(Exception):
    """
    Where an error was raised in another process; it is the cause of that error here.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


def dumps(thing: object) -> bytes:
    """Pickle what goes to another process, connections and the like among it."""
    return bytes(ForkingPickler.dumps(thing))


def serve(
    channel: Connection,
    initializer: Callable[..., object] | None,
    initargs: tuple[Any, ...],
) -> None:
    """Run tasks until the parent closes the channel, or is gone."""
    Thread(target=_end_with_parent, name="penstock-parent-watch", daemon=True).start()
    # The parent hears of it, too, and decides what is to be done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, OSError):
        if initializer is not None:
            try:
                initializer(*initargs)
            except BaseException as error:
                channel.send_bytes(_failure(error, "the initializer"))
                return
        channel.send_bytes(READY)
        while True:
            channel.send_bytes(_answer(channel.recv_bytes()))


def _end_with_parent() -> None:
    """End at once when the parent does, whatever is being done."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _answer(request: bytes) -> bytes:
    """Run a task; return whether it returned, and what it returned or raised, pickled."""
    name = "the task"
    try:
        function, args, kwargs = pickle.loads(request)
        name = getattr(function, "__qualname__", name)
        del request
        result = _run(function, args, kwargs)
    except BaseException as error:
        return _failure(error, name)
    try:
        return dumps((True, result))
    except BaseException as error:
        error.add_note(f"the result of {name} cannot be sent back to the process that wants it")
        return _failure(error, name)


def _run(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    # An interrupt ends a task, and is no more than that; in between it has nothing to end.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return function(*args, **kwargs)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _failure(error: BaseException, name: str) -> bytes:
    """Return an error as an answer, if need be described by another one."""
    text = "".join(traceback.format_exception(error))
    try:
        pickled = dumps(error)
    except BaseException as problem:
        kind = type(error).__qualname__
        message = f"{name} raised {kind}, which cannot be pickled: {problem!r}"
        pickled = dumps(pickle.PicklingError(message))
    # By itself: where it cannot be unpickled, the text still can.
    return dumps((False, (pickled, text)))
