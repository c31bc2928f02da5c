"""Ring: when whoever takes is woken, which is once for a burst of pushes."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from tests.rings import bind, fill, make_ring


def woken(ring: Any) -> int:
    """How often it was woken since the last look."""
    times = ring.told.count(("wake",))
    ring.told.clear()
    return times


def test_a_new_ring_wakes_at_the_first_item_and_then_no_more(backend: ModuleType) -> None:
    ring = make_ring(backend)
    ring.put_nowait("a")
    assert woken(ring) == 1
    for item in "bcd":
        ring.put_nowait(item)
    ring._take(9, None)
    ring.put_nowait("e")
    assert woken(ring) == 0


PUSHES: dict[str, Callable[[Any], object]] = {
    "put_nowait": lambda ring: ring.put_nowait("a"),
    "submit": lambda ring: ring.submit("a"),
    "submit_nowait": lambda ring: ring.submit_nowait("a"),
    "_push": lambda ring: ring._push("a", None, 1, False),
    "forced": lambda ring: ring._push("a", None, 1, True),
}


@pytest.mark.parametrize("name", PUSHES)
def test_any_push_wakes_after_it_and_outside_of_the_lock(backend: ModuleType, name: str) -> None:
    ring = make_ring(backend)
    bind(ring)
    seen: list[object] = []
    ring.acts["wake"] = lambda ring: seen.append((ring.pending, ring._take(1, None)[0]))
    PUSHES[name](ring)
    assert seen == [(1, ["a"])]
    assert woken(ring) == 1


@pytest.mark.parametrize("name", PUSHES)
def test_what_is_refused_wakes_nobody(backend: ModuleType, name: str) -> None:
    ring = make_ring(backend, 0)
    bind(ring)
    ring._close()
    PUSHES[name](ring)
    assert woken(ring) == 0


def test_it_wakes_at_so_many_items(backend: ModuleType) -> None:
    ring = make_ring(backend)
    assert ring._listen(3, None) is False
    for _ in range(2):
        ring._push("heavy", None, 2**60, False)
    assert woken(ring) == 0
    ring.put_nowait("c")
    assert woken(ring) == 1
    ring.put_nowait("d")
    assert woken(ring) == 0


def test_it_wakes_at_so_much_weight(backend: ModuleType) -> None:
    ring = make_ring(backend, weigher=lambda item: item)
    assert ring._listen(None, 10) is False
    for weight in (4, 0, 5, 0):
        ring.put_nowait(weight)
    assert woken(ring) == 0
    ring.put_nowait(1)
    assert woken(ring) == 1
    ring.put_nowait(100)
    assert woken(ring) == 0


@pytest.mark.parametrize(("weight", "expected"), [(1, 3), (4, 2), (8, 1), (9, 1)])
def test_it_wakes_at_whatever_comes_first(backend: ModuleType, weight: int, expected: int) -> None:
    ring = make_ring(backend)
    assert ring._listen(3, 8) is False
    for number in range(1, 5):
        ring._push("a", None, weight, False)
        assert woken(ring) == (number == expected)


def test_what_is_there_already_is_said_at_once(backend: ModuleType) -> None:
    ring = make_ring(backend)
    fill(ring, *"abc", weight=5)
    woken(ring)
    assert ring._listen(3, None) is True
    assert ring._listen(2, None) is True
    assert ring._listen(None, 15) is True
    assert ring._listen(4, 14) is True
    assert ring._listen(3, 100) is True
    # Whoever was told so listens no more.
    fill(ring, *"defgh", weight=100)
    assert woken(ring) == 0
    assert ring._listen(9, 1000) is False
    assert ring._listen(9, None) is False
    fill(ring, "i")
    assert woken(ring) == 1


def test_whoever_is_told_at_once_does_not_listen_to_what_he_did_before(
    backend: ModuleType,
) -> None:
    ring = make_ring(backend)
    fill(ring, *"ab")
    woken(ring)
    assert ring._listen(3, 9) is False
    assert ring._listen(2, None) is True
    fill(ring, *"cd", weight=9)
    assert woken(ring) == 0


def test_one_may_stop_listening(backend: ModuleType) -> None:
    ring = make_ring(backend)
    assert ring._listen(None, None) is False
    fill(ring, *range(100), weight=2**62)
    assert woken(ring) == 0
    assert ring._listen(None, None) is False


def test_the_last_levels_count(backend: ModuleType) -> None:
    ring = make_ring(backend)
    ring._listen(2, 2)
    ring._listen(3, None)
    fill(ring, *"ab", weight=5)
    assert woken(ring) == 0
    fill(ring, "c")
    assert woken(ring) == 1


def test_levels_are_about_what_is_in_it_and_not_about_what_came(backend: ModuleType) -> None:
    ring = make_ring(backend)
    ring._listen(3, 30)
    for _ in range(5):
        fill(ring, *"ab", weight=10)
        ring._take(2, None)
    assert woken(ring) == 0
    fill(ring, *"ab")[0].is_done = True
    # One that is done counts until it is looked at.
    fill(ring, "c")
    assert woken(ring) == 1


def test_listening_again_in_wake_begins_a_new_burst(backend: ModuleType) -> None:
    ring = make_ring(backend)
    ring.acts["wake"] = lambda ring: ring._listen(ring.pending + 1, None)
    for number in range(5):
        ring.put_nowait(number)
    assert woken(ring) == 5


def test_wake_may_push(backend: ModuleType) -> None:
    ring = make_ring(backend)
    ring.acts["wake"] = lambda ring: [ring.put_nowait(number) for number in range(5)]
    ring.put_nowait("a")
    assert woken(ring) == 1
    assert ring._take(9, None)[0] == ["a", 0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", PUSHES)
def test_an_error_of_wake_reaches_the_caller_of_what_is_pushed(
    backend: ModuleType, name: str
) -> None:
    ring = make_ring(backend)
    bind(ring)

    def wake(ring: Any) -> None:
        raise LookupError("wake")

    ring.acts["wake"] = wake
    with pytest.raises(LookupError, match="wake"):
        PUSHES[name](ring)
    assert ring._counts() == (1, 0, 0)
    # Nobody has heard of it: the next one tells again.
    ring.acts.clear()
    PUSHES[name](ring)
    PUSHES[name](ring)
    assert woken(ring) == 2
    assert ring._take(9, None)[0] == ["a", "a", "a"]


def test_wake_is_looked_up_when_it_is_needed(backend: ModuleType) -> None:
    ring = make_ring(backend)
    seen: list[str] = []
    ring._wake = lambda: seen.append("own")
    ring.put_nowait("a")
    assert seen == ["own"]
    del ring._wake
    ring._listen(2, None)
    ring.put_nowait("b")
    assert woken(ring) == 1


def test_without_wake_the_item_is_in_all_the_same(backend: ModuleType) -> None:
    ring = backend.Ring()
    ring._init(5)
    with pytest.raises(AttributeError, match="_wake"):
        ring.put_nowait("a")
    assert ring._take(5, None)[0] == ["a"]
