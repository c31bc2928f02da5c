"""Executors: threads, processes, or a cluster that run tasks."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.flow._executor._executor import Executor
    from penstock.flow._executor._stats import ExecutorStats

__all__ = ["Executor", "ExecutorStats"]

# Lazy: a process that runs tasks imports its own module from here, and should not wait for asyncio.
_HOMES = {"Executor": "_executor", "ExecutorStats": "_stats"}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
