"""Ring: what it keeps alive, what is collected with it, and what may happen when something dies."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from tests.rings import Bond, Promise, bind, fill, make_ring
from tests.threads import spawn


class Thing:
    """Something to refer to other things with."""

    def __init__(self, *links: object) -> None:
        self.links = links

    def __call__(self, *args: object) -> Any:
        return 1

    def done(self) -> bool:
        return False


def in_items(ring: Any, thing: Thing) -> None:
    for _ in range(10):
        ring.put_nowait(thing)


def in_futures(ring: Any, thing: Thing) -> None:
    for _ in range(10):
        ring._push("item", thing, 1, False)


def in_the_weigher(ring: Any, thing: Thing) -> None:
    ring._init(5, thing)


def in_the_timer(ring: Any, thing: Thing) -> None:
    ring._init(5, None, thing)


def in_the_loop(ring: Any, thing: Thing) -> None:
    ring._bind(thing, Promise, int, int)


def in_create_future(ring: Any, thing: Thing) -> None:
    ring._bind("loop", thing, int, int)


def in_running(ring: Any, thing: Thing) -> None:
    ring._bind("loop", Promise, thing, int)


def in_ambient(ring: Any, thing: Thing) -> None:
    ring._bind("loop", Promise, int, thing)


def in_the_dict(ring: Any, thing: Thing) -> None:
    ring.thing = thing


PLACES = [
    in_items, in_futures, in_the_weigher, in_the_timer, in_the_loop, in_create_future, in_running,
    in_ambient, in_the_dict,
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_cycle_is_collected(backend: ModuleType, place: Callable[[Any, Thing], None]) -> None:
    ring = make_ring(backend)
    thing = Thing(ring)
    place(ring, thing)
    ring_dies, thing_dies = weakref.ref(ring), weakref.ref(thing)
    gc.collect()
    del thing
    gc.collect()
    assert thing_dies() is not None, "it was collected while in use"
    del ring
    gc.collect()
    assert (ring_dies(), thing_dies()) == (None, None)


def thing_and_reference() -> tuple[Thing, weakref.ref[Thing]]:
    thing = Thing()
    return thing, weakref.ref(thing)


def push_and_lose(ring: Any, force: bool = False) -> list[weakref.ref[Thing]]:
    """Push an item and a future that nobody else knows."""
    (item, one), (future, other) = thing_and_reference(), thing_and_reference()
    ring._push(item, future, 1, force)
    return [one, other]


def alive(references: list[weakref.ref[Thing]]) -> int:
    return len([reference for reference in references if reference() is not None])


REMOVALS: dict[str, Callable[[Any], object]] = {
    "_take": lambda ring: ring._take(9, None),
    "_take by weight": lambda ring: ring._take(9, 1),
    "_drop_oldest": lambda ring: ring._drop_oldest(),
    "_init": lambda ring: ring._init(5),
}


@pytest.mark.parametrize("name", REMOVALS)
def test_what_left_is_let_go_of(backend: ModuleType, name: str) -> None:
    ring = make_ring(backend)
    references = push_and_lose(ring)
    assert alive(references) == 2
    result = REMOVALS[name](ring)
    assert alive(references) == (0 if name == "_init" else 2)
    del result
    assert alive(references) == 0


def test_what_is_swept_or_skipped_is_let_go_of(backend: ModuleType) -> None:
    ring = make_ring(backend)
    died = []
    for remove in (ring._sweep, lambda: ring._take(1, None), ring._drop_oldest):
        item, reference = thing_and_reference()
        died.append(reference)
        promise = Promise(True)
        ring._push(item, promise, 1, False)
        died.append(weakref.ref(promise))  # type: ignore[arg-type]  # another thing that dies
        del item, promise
        assert alive(died[-2:]) == 2
        remove()
        assert alive(died) == 0


def test_what_is_refused_is_let_go_of(backend: ModuleType) -> None:
    ring = make_ring(backend, 0)
    assert alive(push_and_lose(ring)) == 0
    ring._close()
    assert alive(push_and_lose(ring, force=True)) == 0
    for method in (ring.put_nowait, ring.submit, ring.submit_nowait):
        item, reference = thing_and_reference()
        method(item)
        ring.told.clear()
        del item
        assert reference() is None


def test_what_it_was_bound_with_is_let_go_of(backend: ModuleType) -> None:
    ring = make_ring(backend)
    for last in (
        lambda: ring._bind(None, None, None, None),
        lambda: bind(ring),
        lambda: ring._init(9),
    ):
        bond: Bond | None = bind(ring)
        references = [weakref.ref(bond)]  # type: ignore[arg-type]  # it is no Thing
        bond = None
        ring.submit("a")
        last()
        ring._take(9, None)
        assert alive(references) == 0


class Last:
    """Something that uses a ring when it dies."""

    def __init__(self, ring: Any, use: Callable[[Any], object]) -> None:
        self.ring = ring
        self.use = use
        self.is_done = False

    def done(self) -> bool:
        return self.is_done

    def __del__(self) -> None:
        self.ring.used.append(self.use(self.ring))


USES: dict[str, Callable[[Any], object]] = {
    "put": lambda ring: ring.put_nowait("of the dead"),
    "take": lambda ring: ring._take(2, None),
    "drop": lambda ring: ring._drop_oldest(),
    "sweep": lambda ring: ring._sweep(),
    "look": lambda ring: (ring.pending, ring.pending_weight, ring._head, ring._age(), ring._loop),
    "listen": lambda ring: ring._listen(2, 3),
    "bind": lambda ring: bind(ring) and None,
    "close": lambda ring: ring._close(),
    "submit": lambda ring: ring.submit("of the dead"),
    # Nothing is locked meanwhile.
    "use in another thread": lambda ring: spawn(ring._counts).result(),
}


def let_the_first_be_taken(ring: Any, last: Last) -> None:
    ring._push(last, None, 1, True)
    fill(ring, "a", "b")
    del last
    ring._take(1, None)


def let_the_first_be_skipped(ring: Any, last: Last) -> None:
    last.is_done = True
    ring._push("gone", last, 1, True)
    fill(ring, "a", "b")
    del last
    ring._take(1, None)


def let_it_be_swept(ring: Any, last: Last) -> None:
    fill(ring, "a")
    last.is_done = True
    ring._push("gone", last, 1, True)
    fill(ring, "b")
    del last
    ring._sweep()


def let_it_be_dropped(ring: Any, last: Last) -> None:
    ring._push(last, None, 1, True)
    fill(ring, "a")
    del last
    ring._drop_oldest()


def let_it_be_refused(ring: Any, last: Last) -> None:
    ring._init(0)
    ring._push(last, last, 1, False)


def let_it_be_unbound(ring: Any, last: Last) -> None:
    fill(ring, "a")
    ring._bind(last, Promise, int, int)
    del last
    ring._bind(None, None, None, None)


def let_it_go_with_the_rest(ring: Any, last: Last) -> None:
    for _ in range(5):
        ring._push(last, last, 1, True)
    del last
    ring._init(5)


WAYS = [
    let_the_first_be_taken, let_the_first_be_skipped, let_it_be_swept, let_it_be_dropped,
    let_it_be_refused, let_it_be_unbound, let_it_go_with_the_rest,
]  # fmt: skip


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("way", WAYS)
def test_something_may_use_the_ring_when_it_dies(
    backend: ModuleType, way: Callable[[Any, Last], None], use: str
) -> None:
    ring = make_ring(backend)
    ring.used = []
    # The caller of a method holds its arguments: so nobody else does here.
    way(ring, Last(ring, USES[use]))
    ring.told.clear()
    gc.collect()
    assert len(ring.used) == 1
    rest = []
    while (batch := ring._take(1, None)) is not None:
        rest += batch[0]
    assert (ring.pending, ring.pending_weight, ring._head) == (0, 0, ring._tail)
    pushed, taken, skipped = ring._counts()
    assert pushed == taken + skipped
    assert len(rest) == len(set(rest))


@pytest.mark.usefixtures("eager_collector")
def test_the_collector_may_run_at_any_time(backend: ModuleType) -> None:
    ring = make_ring(backend, weigher=lambda item: 1)
    bond = bind(ring)
    seen: list[object] = []
    for number in range(60):
        ring.put_nowait(number)
        fill(ring, -number)
        ring.submit(-1000 - number)
        bond.made[-1].is_done = True
        if number % 3 == 0:
            seen += ring._take(3, None)[0]
            ring._sweep()
    while (batch := ring._take(4, None)) is not None:
        seen += batch[0]
    assert sorted(seen) == sorted([*range(60), *range(0, -60, -1)])  # type: ignore[type-var]  # they are ints
