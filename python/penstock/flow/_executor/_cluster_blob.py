"""How a task becomes bytes for the cluster, and bytes from there an outcome."""

from __future__ import annotations

import pickle
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from penstock.flow._executor import _cluster_remote
from penstock.flow._executor._mapping import call_chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["pack", "unpack"]


def pack(
    name: str,
    function: Callable[..., object],
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
    *,
    max_task_bytes: int,
    max_result_bytes: int,
) -> bytes:
    """
    Return what runs a task when it is unpickled, and then is what `unpack` reads.

    So dask has nothing to call but ``pickle.loads``, sees none of the arguments (it would take a
    text among them for one of its keys, dask/dask#9969), and its workers need no penstock.

    Raises:
        PicklingError: The task cannot be pickled.
        ValueError: It takes more than *max_task_bytes*.
    """
    if function is call_chunk:
        function = _ByValue(_cluster_remote.call_chunk)
    try:
        payload: bytes = _cloudpickle().dumps((function, args, kwargs), protocol=5)
    except Exception as error:
        raise pickle.PicklingError(f"{name} cannot be pickled: {error}") from error
    if len(payload) > max_task_bytes:
        raise ValueError(
            f"{name} takes {len(payload)} bytes with its arguments, "
            f"more than the {max_task_bytes} of max_task_bytes"
        )
    return pickle.dumps(_Call(payload, max_result_bytes), protocol=5)


def unpack(name: str, data: bytes) -> tuple[BaseException | None, Any, float]:
    """
    Return what a task raised or None, what it returned, and how many seconds it took.

    Raises:
        UnpicklingError: That cannot be had here.
    """
    try:
        outcome: tuple[BaseException | None, Any, float] = pickle.loads(data)
    except Exception as error:
        message = f"the result of {name} cannot be unpickled: {error!r}"
        raise pickle.UnpicklingError(message) from error
    return outcome


class _Call:
    """A call of `run`, which unpickling makes."""

    __slots__ = ("_args",)

    def __init__(self, *args: object) -> None:
        self._args = args

    def __reduce__(self) -> tuple[_ByValue, tuple[object, ...]]:
        return _ByValue(_cluster_remote.run), self._args


class _ByValue:
    """Is unpickled as a function of `_cluster_remote`, which cannot be imported on a worker."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    def __call__(self) -> None:
        """Pickle insists on it."""

    def __reduce__(self) -> tuple[Callable[[bytes], Any], tuple[bytes]]:
        return pickle.loads, (_by_value(self._function),)


@cache
def _cloudpickle() -> Any:  # it has no types
    return import_module("cloudpickle")


@cache
def _by_value(function: Callable[..., object]) -> bytes:
    cloudpickle = _cloudpickle()
    cloudpickle.register_pickle_by_value(_cluster_remote)
    try:
        pickled: bytes = cloudpickle.dumps(function)
    finally:
        cloudpickle.unregister_pickle_by_value(_cluster_remote)
    return pickled
