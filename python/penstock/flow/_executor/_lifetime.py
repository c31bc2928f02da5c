"""The end of the interpreter, and forks: what executors have to know of both."""

from __future__ import annotations

import atexit
import os
import threading
from typing import TYPE_CHECKING, Protocol
from weakref import ref

from penstock.flow._executor._here import here

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AFTER_EXIT", "Living", "at_fork", "is_exiting", "watch"]

#: The standard library's words.
AFTER_EXIT = "cannot schedule new futures after interpreter shutdown"


class Living(Protocol):
    """What has threads."""

    def close(self, refusal: str, /) -> None:
        """Accept nothing any more, for this reason."""
        ...

    def join(self) -> None:
        """Wait until all threads have gone."""
        ...

    def begin_anew(self) -> None:
        """Begin without tasks and threads, in the child after a fork."""
        ...


# Every change of it is one operation on a dict, which no finalizer can come in between of.
_cores: dict[int, ref[Living]] = {}
_exiting = False
_hooks: list[Callable[[], object]] = []


def watch(core: Living) -> None:
    """End the workers of *core* before the interpreter does; begin anew in a fork."""
    at = id(core)
    _cores[at] = ref(core, lambda _: _cores.pop(at, None))


def is_exiting() -> bool:
    """Return whether the interpreter is at its end."""
    return _exiting


def at_fork(hook: Callable[[], object]) -> None:
    """Call *hook* in the child after each fork."""
    _hooks.append(hook)


def _alive() -> list[Living]:
    return [core for entry in list(_cores.values()) if (core := entry()) is not None]


def _at_exit() -> None:
    global _exiting  # noqa: PLW0603
    _exiting = True
    cores = _alive()
    for core in cores:
        core.close(AFTER_EXIT)
    for core in cores:
        core.join()


def _in_fork() -> None:
    here.worker = None
    for hook in _hooks:
        hook()
    for core in _alive():
        core.begin_anew()


def _register() -> None:
    # As concurrent.futures does: before threads are joined, which would wait for ours for ever.
    # What is registered with atexit is called after that.
    global _exiting  # noqa: PLW0603
    register = getattr(threading, "_register_atexit", atexit.register)
    try:
        register(_at_exit)
    except RuntimeError:  # imported at the very end
        _exiting = True


_register()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_fork)
