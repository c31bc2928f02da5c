"""
What runs a task on a worker of a cluster.

It is sent along with each task, by value: the workers need cloudpickle and tblib, which dask
brings, but not penstock. Hence nothing here refers to another module of penstock.
"""

from __future__ import annotations

import io
import pickle
import traceback
from importlib import import_module
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import ReadableBuffer

__all__ = ["call_chunk", "run"]


class _TooLarge(Exception):
    """More was written than may be."""


class _Bounded(io.BytesIO):
    """A file in memory that refuses to grow beyond a limit, so that the worker survives."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def write(self, data: ReadableBuffer, /) -> int:
        with memoryview(data) as view:
            if self.tell() + view.nbytes > self._limit:
                raise _TooLarge
        return super().write(data)


def run(payload: bytes, limit: int) -> bytes:
    """
    Call what was pickled, and pickle what came of it.

    Nothing is raised, not even SystemExit: dask would log it, and end the worker.

    Args:
        payload: The pickle of ``(function, args, kwargs)``.
        limit: How many bytes may go back.

    Returns:
        The pickle of the error or None, the result, and the seconds that the call took.
    """
    name = "the task"
    start = perf_counter()
    try:
        function, args, kwargs = pickle.loads(payload)
        name = getattr(function, "__qualname__", name)
        result = function(*args, **kwargs)
    except BaseException as error:
        return _dump_error(name, error, perf_counter() - start, limit)
    seconds = perf_counter() - start
    try:
        return _dump((None, result, seconds), limit)
    except _TooLarge:
        refused: Exception = ValueError(_complaint(f"the result of {name}", limit))
    except BaseException as error:
        kind = type(result).__qualname__
        message = f"the result of {name}, of type {kind}, cannot be pickled: {error}"
        refused = pickle.PicklingError(message)
    return pickle.dumps((refused, None, seconds))


def call_chunk(function: Callable[..., object], rows: list[tuple[object, ...]]) -> list[object]:
    """Do what `call_chunk` of _mapping does."""
    return [function(*row) for row in rows]


def _dump_error(name: str, error: BaseException, seconds: float, limit: int) -> bytes:
    if error.__traceback__ is not None:  # without the line above
        error.__traceback__ = error.__traceback__.tb_next
    try:
        # So that it is pickled with its traceback and causes.
        import_module("tblib.pickling_support").install(error)
        pickled = _dump((error, None, seconds), limit)
        pickle.loads(pickled)  # not every error that can be pickled can be unpickled
    except _TooLarge:
        refused: Exception = ValueError(_complaint(f"the error of {name}", limit))
    except BaseException as trouble:
        told = "".join(traceback.format_exception(error)).strip()
        refused = RuntimeError(f"{name} raised what cannot be pickled ({trouble}): {told}")
    else:
        return pickled
    return pickle.dumps((refused, None, seconds))


def _dump(outcome: tuple[BaseException | None, object, float], limit: int) -> bytes:
    file = _Bounded(limit)
    import_module("cloudpickle").Pickler(file, protocol=5).dump(outcome)
    return file.getvalue()


def _complaint(what: str, limit: int) -> str:
    return f"{what} takes more than the {limit} bytes of max_result_bytes"
