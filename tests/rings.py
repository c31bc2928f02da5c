"""A subclass of the native Ring that writes down what it is told, and futures to put into it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

__all__ = ["Bond", "Promise", "bind", "fill", "make_ring", "ring_class"]


@cache
def ring_class(backend: ModuleType) -> type:
    base: Any = backend.Ring

    class Recorded(base):
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

        def _wake(self) -> object:
            return self.tell("wake")

        def _elsewhere(self) -> object:
            return self.tell("elsewhere")

        def _refuse(self, *args: object) -> object:
            return self.tell("refuse", *args)

        def _submit(self, *args: object) -> object:
            return self.tell("submit", *args)

    return Recorded


def make_ring(backend: ModuleType, capacity: int | None = None, **options: object) -> Any:
    """Make a ring; the arguments are those of ``_init``."""
    return ring_class(backend)(capacity, **options)


class Promise:
    """A future that is done when a test says so."""

    def __init__(self, done: object = False) -> None:
        self.is_done = done
        self.asked = 0
        #: What ``done`` does before it answers.
        self.act: Callable[[], object] | None = None

    def done(self) -> Any:
        self.asked += 1
        if self.act is not None:
            self.act()
        return self.is_done


class Bond:
    """The functions that a ring is bound with, and what they return."""

    def __init__(self) -> None:
        self.event_loop = object()
        self.now_running: object = self.event_loop
        self.deadline: object = None
        self.calls: list[str] = []
        self.made: list[Promise] = []

    def create_future(self) -> Promise:
        self.calls.append("create_future")
        self.made.append(Promise())
        return self.made[-1]

    def running(self) -> object:
        self.calls.append("running")
        return self.now_running

    def ambient(self) -> object:
        self.calls.append("ambient")
        return self.deadline


def bind(*rings: Any) -> Bond:
    """Bind rings to a loop that need not exist."""
    bond = Bond()
    for ring in rings:
        ring._bind(bond.event_loop, bond.create_future, bond.running, bond.ambient)
    return bond


def fill(ring: Any, *items: object, weight: int = 1) -> list[Promise]:
    """Push items with a future each."""
    promises = [Promise() for _ in items]
    for item, promise in zip(items, promises, strict=True):
        assert ring._push(item, promise, weight, True)
    return promises
