"""Memo: a function behind a cache."""

from __future__ import annotations

import copy
import gc
import inspect
import pickle
import sys
import weakref
from datetime import timedelta
from threading import Event
from types import ModuleType
from typing import Any

import pytest
from tests.clock import Clock
from tests.memos import Counting, add, make
from tests.threads import LIMIT, spawn


def test_a_result_is_computed_once(backend: ModuleType) -> None:
    func = Counting()
    cache = backend.Cache(99)
    memo = backend.Memo(func, cache)
    assert memo(1, x=2) == (1, (1,), {"x": 2})
    assert memo(1, x=2) == (1, (1,), {"x": 2})
    assert memo(2) == (2, (2,), {})
    assert func.calls == 2
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.loads, stats.size) == (1, 2, 2, 2)


def test_a_failure_is_not_kept(backend: ModuleType) -> None:
    calls: list[object] = []

    def fail(x: object) -> None:
        calls.append(x)
        raise LookupError

    cache = backend.Cache(99)
    memo = make(backend, fail, cache=cache)
    for _ in range(2):
        with pytest.raises(LookupError):
            memo(1)
    assert calls == [1, 1]
    assert cache.stats().load_failures == 2


def test_none_is_kept(backend: ModuleType) -> None:
    func = Counting()
    memo = backend.Memo(lambda *args: func() and None, backend.Cache(99))
    assert memo() is None
    assert memo() is None
    assert func.calls == 1


def test_arguments_are_passed_on_as_they_are(backend: ModuleType) -> None:
    memo = make(backend)
    assert memo(1) == (1, 0, (), {})
    assert memo(1, 2, 3, 4, x=5) == (1, 2, (3, 4), {"x": 5})
    assert make(backend, lambda self, args, kwargs: (self, args, kwargs))(
        self=1, args=2, kwargs=3
    ) == (1, 2, 3)


def test_results_have_the_ttl_chosen(backend: ModuleType, clock: Clock) -> None:
    for ttl, left in ((..., 10.0), (3, 3.0), (timedelta(seconds=4), 4.0), (None, None)):
        cache = backend.Cache(99, ttl=10, timer=clock)
        memo = make(backend, cache=cache, ttl=ttl)
        memo(1)
        assert cache.ttl_of(1) == left


def test_an_expired_result_is_computed_again(backend: ModuleType, clock: Clock) -> None:
    func = Counting()
    memo = backend.Memo(func, backend.Cache(99, ttl=10, timer=clock))
    memo(1)
    clock.now = 10.0
    memo(1)
    assert func.calls == 2


def test_a_hit_can_be_made_ready_to_await(backend: ModuleType) -> None:
    cache = backend.Cache(99)
    cache[1] = "value"
    memo = make(backend, cache=cache, ready=True)
    hit = memo(1)
    assert type(hit) is backend.Ready
    with pytest.raises(StopIteration) as caught:
        hit.send(None)
    assert caught.value.value == "value"
    assert memo(1) is not hit


def test_a_miss_can_be_handled_elsewhere(backend: ModuleType) -> None:
    func = Counting()
    misses: list[object] = []

    def miss(key: object, args: object, kwargs: object) -> str:
        misses.append((key, args, kwargs))
        return "from elsewhere"

    cache = backend.Cache(99)
    memo = backend.Memo(func, cache, miss=miss, ready=True)
    assert memo(1) == "from elsewhere"
    assert memo(1, 2) == "from elsewhere"
    assert memo(1, x=3) == "from elsewhere"
    assert misses == [
        (1, (1,), {}),
        ((1, 2), (1, 2), {}),
        (memo.make_key(1, x=3), (1,), {"x": 3}),
    ]
    assert func.calls == 0
    stats = cache.stats()
    assert (stats.misses, stats.loads, stats.size) == (3, 0, 0)


def test_an_old_result_is_served_while_somebody_is_told(backend: ModuleType, clock: Clock) -> None:
    told: list[object] = []
    func = Counting()
    memo = backend.Memo(
        func,
        backend.Cache(99, ttl=15, timer=clock),
        soft=5,
        on_stale=lambda key, args, kwargs: told.append((key, args, kwargs)),
    )
    first = memo(1, x=2)
    clock.now = 9.999
    assert memo(1, x=2) is first
    assert told == []
    clock.now = 10.0
    assert memo(1, x=2) is first
    clock.now = 14.999
    assert memo(1, x=2) is first
    assert told == [(memo.make_key(1, x=2), (1,), {"x": 2})] * 2
    clock.now = 15.0
    assert memo(1, x=2) is not first
    assert len(told) == 2


def test_a_stale_hit_can_be_ready_too(backend: ModuleType, clock: Clock) -> None:
    told: list[object] = []
    cache = backend.Cache(99, ttl=15, timer=clock)
    cache[1] = "value"
    memo = make(
        backend,
        cache=cache,
        ready=True,
        soft=timedelta(seconds=5),
        on_stale=lambda *a: told.append(a),
    )
    clock.now = 10.0
    assert type(memo(1)) is backend.Ready
    assert len(told) == 1


def test_a_result_without_a_deadline_is_never_stale(backend: ModuleType, clock: Clock) -> None:
    told: list[object] = []
    cache = backend.Cache(99, ttl=15, timer=clock)
    cache.set(1, "value", ttl=None)
    memo = make(backend, cache=cache, soft=5, on_stale=lambda *a: told.append(a))
    clock.now = 1e6
    assert memo(1) == "value"
    assert told == []


def test_the_options_are_checked(backend: ModuleType) -> None:
    with pytest.raises(TypeError):
        backend.Memo(add, {})
    with pytest.raises(TypeError):
        backend.Memo(add)
    with pytest.raises(ValueError, match=r"^stale must be > 0, got 0$"):
        backend.Memo(add, backend.Cache(1), soft=0)
    with pytest.raises(ValueError, match=r"^ttl must be > 0, got -1$"):
        backend.Memo(add, backend.Cache(1), ttl=-1)


def test_threads_share_a_computation(backend: ModuleType, taking_turns: None) -> None:
    func, release = Counting(), Event()

    def slow(x: object) -> object:
        assert release.wait(LIMIT)
        return func(x)

    memo = make(backend, slow)
    threads = [spawn(memo, (1,)) for _ in range(5)]
    release.set()
    assert len({id(thread.result()) for thread in threads}) == 1
    assert func.calls == 1


def test_a_function_that_needs_its_own_result_is_told(backend: ModuleType) -> None:
    def again(x: object) -> object:
        return memo(x)

    memo = make(backend, again)
    with pytest.raises(RuntimeError, match=r"^key 5 is already being loaded by this thread$"):
        memo(5)


def test_recursion_over_smaller_arguments_works(backend: ModuleType) -> None:
    fibonacci = make(backend, lambda n: n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2))
    assert fibonacci(80) == 23416728348467685


def test_it_takes_the_attributes_of_a_function(backend: ModuleType) -> None:
    memo = make(backend)
    assert memo.__name__ == "add"
    assert memo.__doc__ == "Return what it was called with."
    assert memo.__module__ == add.__module__
    assert memo.__wrapped__ is add
    assert inspect.signature(memo) == inspect.signature(add)
    memo.anything = 5
    assert memo.anything == 5
    assert vars(memo)["anything"] == 5
    del memo.anything
    assert not hasattr(memo, "anything")


decorated: Any = None


def test_it_is_pickled_by_name(backend: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    memo = make(backend)
    memo.__module__, memo.__qualname__ = __name__, "decorated"
    monkeypatch.setattr(sys.modules[__name__], "decorated", memo)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(memo, protocol)) is memo


def test_copies_are_itself(backend: ModuleType) -> None:
    memo = make(backend)
    assert copy.copy(memo) is memo
    assert copy.deepcopy(memo) is memo
    assert copy.deepcopy([memo])[0] is memo


def test_it_can_be_weakly_referenced_and_collected(backend: ModuleType) -> None:
    memo = make(backend)
    memo.itself = memo
    reference = weakref.ref(memo)
    del memo
    gc.collect()
    assert reference() is None


def test_the_class_has_no_subclasses(backend: ModuleType) -> None:
    for name in ("Memo", "BoundMemo"):
        with pytest.raises(TypeError, match="is not an acceptable base type"):
            type("Sub", (getattr(backend, name),), {})
