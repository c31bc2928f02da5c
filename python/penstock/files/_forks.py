"""What a forked process does with the loads of its parent, which no thread here will end."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakValueDictionary

__all__ = ["Loading", "enter"]


class Loading(Protocol):
    """What may be under way in threads when the process forks."""

    def _begin_anew(self) -> None:
        """Forget that, and who holds a lock."""
        ...


# By their ids: those of a subclass may have no hash.
_loading: WeakValueDictionary[int, Loading] = WeakValueDictionary()


def enter(loading: Loading) -> None:
    """Let it begin anew in forked processes."""
    _loading[id(loading)] = loading


def _in_fork() -> None:
    for each in list(_loading.values()):
        each._begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_fork)
