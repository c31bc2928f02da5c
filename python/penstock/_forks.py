"""What a forked process does with what its parent has begun: it leaves that to the parent."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakValueDictionary

__all__ = ["Bound", "enter"]


class Bound(Protocol):
    """What has an event loop, or threads, that go on in the parent only."""

    def _begin_anew(self) -> object:
        """Forget what is under way, and return all of it."""
        ...


# By their ids: those of a subclass may have no hash.
_bound: WeakValueDictionary[int, Bound] = WeakValueDictionary()
# What is finalized runs code of the parent's, such as the end of its coroutines.
_left_alone: list[object] = []


def enter(bound: Bound) -> None:
    """Let it begin anew in forked processes."""
    _bound[id(bound)] = bound


def _in_fork() -> None:
    _left_alone.extend([each._begin_anew() for each in list(_bound.values())])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_fork)
