"""Ring: when it makes a future itself, and when it leaves that to the subclass."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from tests.backends import BACKENDS, load_backend
from tests.rings import Promise, bind, make_ring

METHODS = [("submit", False), ("submit_nowait", True)]
both = pytest.mark.parametrize(("name", "at_once"), METHODS)


@both
def test_a_bound_ring_makes_a_future_itself(backend: ModuleType, name: str, at_once: bool) -> None:
    ring = make_ring(backend, 5)
    bond = bind(ring)
    assert ring._loop is bond.event_loop
    futures = [getattr(ring, name)(item) for item in "ab"]
    assert futures == bond.made
    assert all(type(future) is Promise for future in futures)
    assert ring.told == [("wake",)]
    items, pushed, weight, *_ = ring._take(5, None)
    assert (items, pushed, weight) == (["a", "b"], futures, 2)


@both
def test_the_future_of_an_event_loop(backend: ModuleType, name: str, at_once: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ring = make_ring(backend, 5)
        ring._bind(loop, loop.create_future, asyncio._get_running_loop, lambda: None)
        assert ring._loop is loop
        future = getattr(ring, name)("a")
        assert type(future) is type(loop.create_future())
        assert future.get_loop() is loop
        (_,), (waiting,), *_ = ring._take(1, None)
        waiting.set_result(5)
        assert await future == 5

    asyncio.run(main())


def unbound(ring: Any, bond: Any) -> None:
    ring._bind(None, None, None, None)
    assert ring._loop is None


def in_no_loop(ring: Any, bond: Any) -> None:
    bond.now_running = None


def in_another_loop(ring: Any, bond: Any) -> None:
    bond.now_running = object()


def with_a_deadline(ring: Any, bond: Any) -> None:
    bond.deadline = 0.0


def closed(ring: Any, bond: Any) -> None:
    ring._close()


def full(ring: Any, bond: Any) -> None:
    while ring._push("some", None, 1, False):
        pass


REASONS = [unbound, in_no_loop, in_another_loop, with_a_deadline, closed, full]


@both
@pytest.mark.parametrize("reason", REASONS)
def test_otherwise_it_is_up_to_the_subclass(
    backend: ModuleType, name: str, at_once: bool, reason: Callable[[Any, Any], None]
) -> None:
    def weigher(item: object) -> int:
        raise AssertionError("this is up to the subclass, too")

    ring = make_ring(backend, 3, weigher=weigher)
    bond = bind(ring)
    reason(ring, bond)
    before = (ring.pending, ring._counts())
    ring.told.clear()
    ring.acts["submit"] = lambda ring, *args: ["result", *args]
    assert getattr(ring, name)("a") == ["result", "a", at_once]
    assert ring.told == [("submit", "a", at_once)]
    assert type(ring.told[0][2]) is bool
    assert (ring.pending, ring._counts()) == before
    assert bond.made == []


@both
def test_a_ring_that_is_not_plain_leaves_everything_to_the_subclass(
    backend: ModuleType, name: str, at_once: bool
) -> None:
    ring = make_ring(backend, 3, plain=False)
    bond = bind(ring)
    assert getattr(ring, name)("a") is None
    assert ring.told == [("submit", "a", at_once)]
    assert bond.calls == []
    assert ring.put_nowait("b") is None
    assert ring._take(3, None)[0] == ["b"]


def test_only_submit_goes_beyond_the_capacity_and_only_if_it_may(backend: ModuleType) -> None:
    for overfill in (False, True):
        ring = make_ring(backend, 1, overfill=overfill)
        bond = bind(ring)
        assert ring.submit("a") is bond.made[0]
        second = ring.submit("b")
        assert (second is None) != overfill
        assert ring.submit_nowait("c") is None
        assert ring.put_nowait("d") is None
        told = [("submit", "c", True), ("refuse", "d", 1)]
        if not overfill:
            told.insert(0, ("submit", "b", False))
        assert ring.told[1:] == told
        assert ring._take(9, None)[0] == (["a", "b"] if overfill else ["a"])


@both
def test_an_error_of_the_subclass_reaches_the_caller(
    backend: ModuleType, name: str, at_once: bool
) -> None:
    ring = make_ring(backend)

    def fail(ring: Any, *args: object) -> None:
        raise LookupError(*args)

    ring.acts["submit"] = fail
    with pytest.raises(LookupError) as caught:
        getattr(ring, name)("a")
    assert caught.value.args == ("a", at_once)


@both
@pytest.mark.parametrize("function", ["running", "ambient", "create_future"])
def test_an_error_of_what_it_is_bound_with_reaches_the_caller(
    backend: ModuleType, name: str, at_once: bool, function: str
) -> None:
    ring = make_ring(backend)
    bond = bind(ring)

    def fail() -> None:
        raise LookupError(function)

    setattr(bond, function, fail)
    ring._bind(bond.event_loop, bond.create_future, bond.running, bond.ambient)
    with pytest.raises(LookupError, match=function):
        getattr(ring, name)("a")
    assert (ring.pending, ring._tail, ring.told) == (0, 0, [])


@both
@pytest.mark.parametrize("when", ["running", "ambient", "create_future", "weigher", "timer"])
@pytest.mark.parametrize("what", ["close", "fill"])
def test_a_ring_that_closes_or_fills_up_meanwhile_refuses(
    backend: ModuleType, name: str, at_once: bool, when: str, what: str
) -> None:
    busy: list[bool] = []

    def happen(at: str) -> None:
        if at == when and not busy:
            busy.append(True)
            if what == "close":
                ring._close()
            else:
                assert ring._push("other", None, 1, False)

    def weigher(item: object) -> int:
        happen("weigher")
        return 1

    def timer() -> float:
        happen("timer")
        return 0.0

    ring = make_ring(backend, 1, weigher=weigher, timer=timer)
    bond = bind(ring)

    def wrap(at: str) -> Callable[[], object]:
        inner = getattr(bond, at)

        def call() -> object:
            happen(at)
            return inner()

        return call

    ring._bind(bond.event_loop, wrap("create_future"), wrap("running"), wrap("ambient"))
    assert getattr(ring, name)("a") is None
    assert busy
    assert ring.told[-1] == ("submit", "a", at_once)
    assert ring.pending == (what == "fill")


def test_binding_again_replaces_and_unbinding_forgets(backend: ModuleType) -> None:
    ring = make_ring(backend)
    first, second = bind(ring), bind(ring)
    assert ring._loop is second.event_loop
    ring.submit("a")
    assert (len(first.made), len(second.made)) == (0, 1)
    assert ring._bind(None, None, None, None) is None
    assert ring._loop is None
    assert ring.pending == 1


@both
def test_the_weigher_and_the_ambient_are_asked_in_a_loop_of_its_own_only(
    backend: ModuleType, name: str, at_once: bool
) -> None:
    ring = make_ring(backend)
    bond = bind(ring)
    getattr(ring, name)("a")
    assert bond.calls == ["running", "ambient", "create_future"]
    bond.calls.clear()
    bond.now_running = None
    getattr(ring, name)("a")
    assert bond.calls == ["running"]


def test_methods_of_the_subclass_are_looked_up_when_they_are_needed(backend: ModuleType) -> None:
    ring = make_ring(backend, 0)
    ring._submit = lambda *args: ["own submit", *args]
    ring._refuse = lambda *args: ["own refuse", *args]
    assert ring.submit("a") == ["own submit", "a", False]
    assert ring.submit_nowait("a") == ["own submit", "a", True]
    assert ring.put_nowait("a") == ["own refuse", "a", 1]


def test_it_does_not_care_what_its_other_methods_became(backend: ModuleType) -> None:
    class Sub(backend.Ring):  # type: ignore[misc,name-defined]  # of either backend
        woken = 0

        def _wake(self) -> None:
            self.woken += 1

        def _weigh(self, *args: object) -> Any:
            raise AssertionError

        _push = put_nowait = _take = pending = _weigh

    ring = Sub()
    ring._init(5)
    bond = bind(ring)
    assert ring.submit("a") is bond.made[0]
    assert backend.Ring.put_nowait(ring, "b") is None
    assert backend.Ring._take(ring, 5, None)[0] == ["a", "b"]
    assert ring.woken == 1


def test_a_subclass_may_have_methods_and_attributes_of_any_other_name(
    backend: ModuleType,
) -> None:
    """The backends keep out of each other's way: one has names that the other has not."""
    known = set(dir(backend.Cache)) | set(dir(object)) | {"__slots__", "__annotations__"}
    # The state of the twin, and what pickle leaves behind.
    own = set(vars(backend.Ring)) - known - {"_core", "__slotnames__"}
    other = load_backend("pure" if backend.__name__.endswith("native") else BACKENDS[0])
    assert own <= set(vars(other.Ring))


def test_a_subclass_says_whether_it_has_a_dict_and_weak_references(backend: ModuleType) -> None:
    class Slim(backend.Ring):  # type: ignore[misc,name-defined]  # of either backend
        __slots__ = ("own",)

    class Weak(backend.Ring):  # type: ignore[misc,name-defined]  # of either backend
        __slots__ = ("__dict__", "__weakref__")

    assert not hasattr(Slim(), "__dict__")
    with pytest.raises(AttributeError):
        Slim().other = 1
    weak = Weak()
    weak.other = 1
    assert weak.other == 1


WRONG_CALLS: dict[str, Callable[[Any], object]] = {
    "too few": lambda method: method(),
    "too many": lambda method: method("a", "b"),
    "unknown keyword": lambda method: method("a", key=1),
    "keyword only": lambda method: method(key=1),
    "twice": lambda method: method("a", item="a"),
}


@pytest.mark.parametrize("wrong", WRONG_CALLS)
@pytest.mark.parametrize("name", ["put_nowait", "submit", "submit_nowait"])
def test_wrong_arguments_are_type_errors(backend: ModuleType, name: str, wrong: str) -> None:
    ring = make_ring(backend)
    bind(ring)
    with pytest.raises(TypeError, match=name):
        WRONG_CALLS[wrong](getattr(ring, name))
    assert ring._tail == 0


@pytest.mark.parametrize("name", ["put_nowait", "submit", "submit_nowait"])
def test_the_item_may_be_a_keyword(backend: ModuleType, name: str) -> None:
    ring = make_ring(backend, 2)
    bond = bind(ring)
    assert getattr(ring, name)(item="a") in (None, *bond.made)
    assert ring._take(1, None)[0] == ["a"]


ARGUMENTS = {
    "_init": ["capacity", "weigher", "timer", "overfill", "plain"],
    "_bind": ["event_loop", "create_future", "running", "ambient"],
    "put_nowait": ["item"],
    "submit": ["item"],
    "submit_nowait": ["item"],
    "_push": ["item", "future", "weight", "force"],
    "_weigh": ["item"],
    "_listen": ["items", "weight"],
    "_take": ["items", "weight"],
    "_drop_oldest": [],
    "_sweep": [],
    "_age": [],
    "_close": [],
    "_counts": [],
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_have_names(backend: ModuleType, name: str) -> None:
    signature = inspect.signature(getattr(make_ring(backend), name))
    assert list(signature.parameters) == ARGUMENTS[name]


def test_keywords_do_what_positions_do(backend: ModuleType) -> None:
    ring = make_ring(backend, capacity=2, weigher=len, timer=lambda: 1.0, overfill=True, plain=True)
    bond = bind()
    ring._bind(
        event_loop=bond.event_loop,
        create_future=bond.create_future,
        running=bond.running,
        ambient=bond.ambient,
    )
    assert ring._listen(items=2, weight=None) is False
    assert ring._weigh(item="ab") == 2
    assert ring._push(item="a", future=None, weight=1, force=False) is True
    assert ring._take(items=1, weight=None) == (["a"], [None], 1, 0.0, 0.0)
