"""Ring: what is pushed, what is refused, and what is told."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from tests.clock import Clock
from tests.rings import Promise, bind, fill, make_ring


def items_of(ring: Any) -> list[object]:
    """Everything that is in it; it is taken out."""
    taken = ring._take(2**31, None)
    return [] if taken is None else taken[0]


def figures(ring: Any) -> tuple[object, ...]:
    """What it is like."""
    return ring.pending, ring.pending_weight, ring._head, ring._tail, ring._counts()


def test_an_empty_ring(backend: ModuleType) -> None:
    ring = make_ring(backend, 3)
    assert figures(ring) == (0, 0, 0, 0, (0, 0, 0))
    assert ring._closed is False
    assert ring._loop is None
    assert ring._age() is None
    assert ring._take(10, None) is None
    assert ring._drop_oldest() is None
    assert ring._sweep() == 0
    assert not hasattr(ring, "__len__")
    assert ring.told == []


def test_what_is_put_in_is_counted_and_stays_in_order(backend: ModuleType) -> None:
    ring = make_ring(backend, 5)
    for number in range(3):
        assert ring.put_nowait(number) is None
    assert ring._push("forced", None, 7, False) is True
    assert figures(ring) == (4, 10, 0, 4, (4, 0, 0))
    assert items_of(ring) == [0, 1, 2, "forced"]
    assert figures(ring) == (0, 0, 4, 4, (4, 4, 0))


def test_equal_and_unhashable_items_are_items_of_their_own(backend: ModuleType) -> None:
    ring = make_ring(backend)
    items: list[object] = [None, None, [], [], {}, ring]
    for item in items:
        ring.put_nowait(item)
    taken = items_of(ring)
    assert len(taken) == 6
    assert all(one is other for one, other in zip(taken, items, strict=True))


def test_a_full_ring_refuses(backend: ModuleType) -> None:
    ring = make_ring(backend, 2)
    ring.acts["refuse"] = lambda ring, item, weight: f"no {item}"
    assert [ring.put_nowait(item) for item in "abcd"] == [None, None, "no c", "no d"]
    assert ring.told == [("wake",), ("refuse", "c", 1), ("refuse", "d", 1)]
    assert ring._push("e", None, 1, False) is False
    assert ring.told[3:] == []
    assert figures(ring) == (2, 2, 0, 2, (2, 0, 0))
    assert ring._push("f", None, 1, True) is True
    assert ring._push("g", None, 1, False) is False
    assert items_of(ring) == ["a", "b", "f"]
    assert ring.put_nowait("h") is None


def test_the_capacity_counts_items_whatever_they_weigh(backend: ModuleType) -> None:
    ring = make_ring(backend, 2, weigher=lambda item: item)
    ring.put_nowait(1000)
    ring.put_nowait(0)
    ring.put_nowait(3)
    assert ring.told[1:] == [("refuse", 3, 3)]
    assert (ring.pending, ring.pending_weight) == (2, 1000)


def test_without_a_capacity_everything_fits(backend: ModuleType) -> None:
    ring = make_ring(backend, None)
    for number in range(5000):
        ring.put_nowait(number)
    assert ring.pending == 5000
    assert ring.told == [("wake",)]


def test_what_refuse_raises_reaches_the_caller(backend: ModuleType) -> None:
    ring = make_ring(backend, 1)
    ring.put_nowait("a")

    def refuse(ring: Any, item: object, weight: int) -> None:
        raise LookupError(item, weight)

    ring.acts["refuse"] = refuse
    with pytest.raises(LookupError) as caught:
        ring.put_nowait("b")
    assert caught.value.args == ("b", 1)
    assert figures(ring) == (1, 1, 0, 1, (1, 0, 0))


def test_a_closed_ring_refuses_everything_and_gives_what_it_has(backend: ModuleType) -> None:
    ring = make_ring(backend, 5, overfill=True)
    bind(ring)
    ring.put_nowait("a")
    assert ring._close() is None
    assert ring._closed is True
    ring._close()
    assert ring.put_nowait("b") is None
    assert ring._push("c", None, 1, False) is False
    assert ring._push("d", None, 1, True) is False
    assert ring.submit("e") is None
    assert ring.submit_nowait("f") is None
    assert ring.told[1:] == [("refuse", "b", 1), ("submit", "e", False), ("submit", "f", True)]
    assert figures(ring) == (1, 1, 0, 1, (1, 0, 0))
    assert items_of(ring) == ["a"]
    assert ring._closed is True


def test_setting_up_again_begins_anew(backend: ModuleType) -> None:
    ring = make_ring(backend, 1)
    bind(ring)
    ring.put_nowait("a")
    ring._listen(5, None)
    ring._close()
    assert ring._init(2, None, None, False, True) is None
    assert ring._closed is False
    assert ring._loop is None
    assert figures(ring) == (0, 0, 0, 0, (0, 0, 0))
    ring.put_nowait("b")
    assert ring.told == [("wake",), ("wake",)]


def test_numbers_count_pushes_and_stay(backend: ModuleType) -> None:
    ring = make_ring(backend, 3)
    promises = fill(ring, *"abc")
    assert (ring._head, ring._tail) == (0, 3)
    ring.put_nowait("refused")
    assert ring._tail == 3
    promises[0].is_done = promises[1].is_done = True
    assert ring._sweep() == 2
    assert (ring._head, ring._tail) == (2, 3)
    ring.put_nowait("d")
    assert (ring._head, ring._tail) == (2, 4)
    ring._drop_oldest()
    assert (ring._head, ring._tail) == (3, 4)
    ring._take(1, None)
    assert (ring._head, ring._tail) == (4, 4)


def test_the_weigher_says_what_an_item_weighs(backend: ModuleType) -> None:
    ring = make_ring(backend, 9, weigher=len)
    assert ring._weigh("abc") == 3
    assert ring.pending == 0
    for item in ("abc", "", "ab"):
        ring.put_nowait(item)
    assert ring.pending_weight == 5
    assert ring._push("what it weighs is known", None, 2, False)
    assert ring.pending_weight == 7
    assert make_ring(backend)._weigh("abc") == 1


def test_a_weight_may_be_any_kind_of_int(backend: ModuleType) -> None:
    class Two:
        def __index__(self) -> int:
            return 2

    ring = make_ring(backend, 9, weigher=lambda item: item)
    assert ring._weigh(Two()) == 2
    assert type(ring._weigh(Two())) is int
    ring.put_nowait(2**63 - 1)
    ring.put_nowait(2**63 - 1)
    ring.put_nowait(Two())
    assert ring.pending_weight == 2**64
    assert ring._take(9, 2**63 - 1)[2] == 2**63 - 1
    assert ring._take(9, None)[2] == 2**63 + 1
    assert ring.pending_weight == 0


WEIGHT_ERRORS = [
    ("1", TypeError, "weigher must return an int, got str"),
    (1.0, TypeError, "weigher must return an int, got float"),
    (None, TypeError, "weigher must return an int, got NoneType"),
    (True, TypeError, "weigher must return an int, got bool"),
    (-1, ValueError, "weigher must return an int >= 0, got -1"),
    (-(2**70), ValueError, f"weigher must return an int >= 0, got {-(2**70)}"),
    (2**63, ValueError, f"weigher must return an int <= {2**63 - 1}, got {2**63}"),
    (2**70, ValueError, f"weigher must return an int <= {2**63 - 1}, got {2**70}"),
]

PUSHES: dict[str, Callable[[Any, object], object]] = {
    "put_nowait": lambda ring, item: ring.put_nowait(item),
    "submit": lambda ring, item: ring.submit(item),
    "submit_nowait": lambda ring, item: ring.submit_nowait(item),
}
WEIGHS = {**PUSHES, "_weigh": lambda ring, item: ring._weigh(item)}


@pytest.mark.parametrize(("weight", "error", "message"), WEIGHT_ERRORS)
@pytest.mark.parametrize("name", WEIGHS)
def test_a_weight_is_a_whole_number(
    backend: ModuleType, name: str, weight: Any, error: type[Exception], message: str
) -> None:
    ring = make_ring(backend, 9, weigher=lambda item: weight)
    bind(ring)
    with pytest.raises(error) as caught:
        WEIGHS[name](ring, "item")
    assert str(caught.value) == message
    assert figures(ring) == (0, 0, 0, 0, (0, 0, 0))
    assert ring.told == []


@pytest.mark.parametrize("name", WEIGHS)
def test_an_error_of_the_weigher_reaches_the_caller(backend: ModuleType, name: str) -> None:
    def weigher(item: object) -> int:
        raise LookupError(item)

    ring = make_ring(backend, 9, weigher=weigher)
    bind(ring)
    with pytest.raises(LookupError, match=r"^item$"):
        WEIGHS[name](ring, "item")
    assert figures(ring) == (0, 0, 0, 0, (0, 0, 0))
    assert ring.told == []


def test_the_weigher_comes_before_the_refusal(backend: ModuleType) -> None:
    weighed: list[object] = []

    def weigher(item: object) -> int:
        weighed.append(item)
        return 4

    ring = make_ring(backend, 0, weigher=weigher)
    ring.put_nowait("a")
    assert weighed == ["a"]
    assert ring.told == [("refuse", "a", 4)]


PUSHES_ALL = {**PUSHES, "_push": lambda ring, item: ring._push(item, None, 1, False)}


@pytest.mark.parametrize("name", PUSHES_ALL)
def test_an_operation_whose_timer_fails_pushes_nothing(backend: ModuleType, name: str) -> None:
    failures: list[Exception] = []

    def timer() -> float:
        if failures:
            raise failures.pop()
        return 0.0

    ring = make_ring(backend, 9, timer=timer)
    bind(ring)
    failures.append(LookupError("no time"))
    with pytest.raises(LookupError, match="no time"):
        PUSHES_ALL[name](ring, "a")
    assert figures(ring) == (0, 0, 0, 0, (0, 0, 0))
    assert ring.told == []
    PUSHES_ALL[name](ring, "b")
    for look in (lambda: ring._take(5, None), ring._age):
        failures.append(LookupError("no time"))
        with pytest.raises(LookupError, match="no time"):
            look()
        assert figures(ring) == (1, 1, 0, 1, (1, 0, 0))
    assert items_of(ring) == ["b"]


@pytest.mark.parametrize(
    ("reading", "error", "message"),
    [
        ("1", TypeError, "timer must return a float, got str"),
        (None, TypeError, "timer must return a float, got NoneType"),
        (float("nan"), ValueError, "timer must return a finite number of seconds, got nan"),
        (1e10, ValueError, "timer must return a finite number of seconds, got 10000000000.0"),
    ],
)
def test_a_timer_returns_seconds(
    backend: ModuleType, reading: Any, error: type[Exception], message: str
) -> None:
    ring = make_ring(backend, 1, timer=lambda: reading)
    for call in (lambda: ring.put_nowait("a"), lambda: ring._take(1, None), ring._age):
        with pytest.raises(error) as caught:
            call()
        assert str(caught.value) == message


def test_ages_are_those_of_the_timer(backend: ModuleType, clock: Clock) -> None:
    ring = make_ring(backend, timer=clock)
    clock.advance(-3)
    for wait in (0.25, 1.5, 4):
        ring.put_nowait(wait)
        clock.advance(wait)
    assert ring._age() == 5.75
    assert ring._take(2, None)[3:] == (5.75, 11.25)
    assert ring._age() == 4.0
    clock.advance(0.125)
    assert ring._take(2, None)[3:] == (4.125, 4.125)
    assert ring._age() is None


def test_the_age_is_that_of_what_was_taken(backend: ModuleType, clock: Clock) -> None:
    ring = make_ring(backend, timer=clock)
    first, *_ = fill(ring, "a")
    clock.advance(5)
    ring.put_nowait("b")
    clock.advance(1)
    first.is_done = True
    assert ring._age() == 6.0
    assert ring._take(2, None) == (["b"], [None], 1, 1.0, 1.0)


def test_time_that_goes_back_makes_nothing_older(backend: ModuleType, clock: Clock) -> None:
    ring = make_ring(backend, timer=clock)
    ring.put_nowait("a")
    clock.advance(-5)
    ring.put_nowait("b")
    assert ring._age() == 0.0
    clock.advance(2)
    assert ring._take(2, None)[3:] == (2.0, 2.0)


def test_without_a_timer_ages_are_measured_all_the_same(backend: ModuleType) -> None:
    ring = make_ring(backend)
    ring.put_nowait("a")
    ring.put_nowait("b")
    assert 0.0 <= ring._age() < 20.0
    _, _, _, oldest, together = ring._take(2, None)
    assert 0.0 < oldest <= together < 40.0


def test_a_promise_and_any_other_object_may_be_the_future(backend: ModuleType) -> None:
    ring = make_ring(backend)
    futures = [Promise(), None, Promise()]
    for future in futures:
        assert ring._push("item", future, 1, False)
    assert ring._take(3, None)[1] == futures


def test_the_constructor_takes_anything(backend: ModuleType) -> None:
    class Sub(backend.Ring):  # type: ignore[misc,name-defined]  # of either backend
        def __init__(self, *args: object, key: object) -> None:
            self.args = args, key

    assert isinstance(backend.Ring(), backend.Ring)
    assert isinstance(backend.Ring(1, "x", key=2), backend.Ring)
    assert Sub(1, "x", key=2).args == ((1, "x"), 2)


def test_a_ring_that_is_not_set_up_has_no_bound(backend: ModuleType) -> None:
    ring = backend.Ring()
    assert figures(ring) == (0, 0, 0, 0, (0, 0, 0))
    assert ring._take(1, None) is None
    with pytest.raises(AttributeError, match="_submit"):
        ring.submit("a")
    ring._listen(None, None)
    assert ring.put_nowait("a") is None
    assert items_of(ring) == ["a"]
    ring._close()
    with pytest.raises(AttributeError, match="_refuse"):
        ring.put_nowait("b")


@pytest.mark.parametrize("take", [copy.copy, copy.deepcopy, pickle.dumps])
def test_it_is_not_copied_or_pickled(backend: ModuleType, take: Callable[[object], object]) -> None:
    for one in (backend.Ring(), make_ring(backend, 1)):
        with pytest.raises(TypeError, match=r"^cannot pickle '.*' object"):
            take(one)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_pickle_protocol_takes_it(backend: ModuleType, protocol: int) -> None:
    with pytest.raises(TypeError, match=r"^cannot pickle '.*' object"):
        pickle.dumps(backend.Ring(), protocol)
