"""A Memo in a class works as a method."""

from __future__ import annotations

import functools
import gc
import inspect
import pickle
import weakref
from types import ModuleType
from typing import Any

import pytest


def make(backend: ModuleType, **options: Any) -> Any:
    """A class with a method behind a cache, and the dressing that `cached` gives it."""

    def method(self: object, x: object = 0, **more: object) -> tuple[object, ...]:
        calls.append(x)
        return (self, x, more)

    calls: list[object] = []
    cache = backend.Cache(99)
    memo: Any = functools.update_wrapper(backend.Memo(method, cache, **options), method)
    memo.__name__ = "method"
    memo.cache = cache
    memo.calls = calls
    memo.invalidate = lambda *args, **kwargs: cache._invalidate(memo.make_key(*args, **kwargs))
    memo.refresh = lambda *args, **kwargs: ("refreshed", args, kwargs)
    return type("Owner", (), {"method": memo})


def test_the_object_is_the_first_argument(backend: ModuleType) -> None:
    owner = make(backend)
    one, other = owner(), owner()
    assert one.method(1, y=2) == (one, 1, {"y": 2})
    assert one.method(1, y=2) == (one, 1, {"y": 2})
    assert other.method(1, y=2) == (other, 1, {"y": 2})
    assert one.method() == (one, 0, {})
    assert one.method(x=5) == (one, 5, {})
    assert owner.method.calls == [1, 1, 0, 5]
    assert next(iter(owner.method.cache))[0] is one


def test_the_class_attribute_is_the_memo_itself(backend: ModuleType) -> None:
    owner = make(backend)
    assert type(owner.method) is backend.Memo
    instance = owner()
    assert owner.method(instance, 1) == (instance, 1, {})
    assert instance.method(1) == (instance, 1, {})
    assert owner.method.calls == [1]


def test_it_knows_object_and_function(backend: ModuleType) -> None:
    owner = make(backend)
    instance = owner()
    bound = instance.method
    assert type(bound) is backend.BoundMemo
    assert bound.__self__ is instance
    assert bound.__func__ is owner.method


def test_other_attributes_are_those_of_the_memo(backend: ModuleType) -> None:
    owner = make(backend)
    bound = owner().method
    owner.method.extra = "extra"
    assert bound.extra == "extra"
    assert bound.cache is owner.method.cache
    assert bound.__name__ == "method"
    with pytest.raises(AttributeError, match="missing"):
        bound.missing


def test_it_takes_no_attributes(backend: ModuleType) -> None:
    with pytest.raises(AttributeError):
        make(backend)().method.extra = 5


def test_the_object_is_prepended_for_invalidate_refresh_and_make_key(backend: ModuleType) -> None:
    owner = make(backend)
    instance = owner()
    instance.method(1, y=2)
    assert instance.method.invalidate(1) is False
    assert instance.method.invalidate(1, y=2) is True
    assert instance.method.invalidate(1, y=2) is False
    assert instance.method.refresh(1, y=2) == ("refreshed", (instance, 1), {"y": 2})
    assert instance.method.make_key(1) == (instance, 1)
    assert instance.method.make_key(1) == owner.method.make_key(instance, 1)


def test_the_wrapped_method_is_bound_too(backend: ModuleType) -> None:
    instance = make(backend)()
    assert instance.method.__wrapped__(7) == (instance, 7, {})
    assert instance.method.__wrapped__.__self__ is instance
    assert list(inspect.signature(instance.method).parameters) == ["x", "more"]


def test_bound_memos_are_equal_if_object_and_function_are_the_same(backend: ModuleType) -> None:
    owner, another = make(backend), make(backend)
    one, other = owner(), owner()
    assert one.method == one.method
    assert not one.method != one.method
    assert hash(one.method) == hash(one.method)
    assert one.method != other.method
    assert one.method != another().method
    assert one.method != owner.method
    assert one.method != 5
    assert len({one.method, one.method, other.method}) == 2


def test_the_objects_own_equality_does_not_count(backend: ModuleType) -> None:
    owner = make(backend)
    owner.__eq__ = lambda self, other: True
    owner.__hash__ = None
    assert owner().method != owner().method
    assert isinstance(hash(owner().method), int)


def test_it_keeps_its_object_alive_and_no_longer(backend: ModuleType) -> None:
    owner = make(backend)
    instance = owner()
    reference = weakref.ref(instance)
    bound = instance.method
    del instance
    assert reference() is not None
    assert weakref.ref(bound)() is bound
    del bound
    assert reference() is None


def test_a_cycle_through_it_is_collected(backend: ModuleType) -> None:
    instance = make(backend)()
    instance.bound = instance.method
    reference = weakref.ref(instance)
    del instance
    gc.collect()
    assert reference() is None


class Pickled:
    """Found by pickle."""

    method: Any = None


def test_it_is_pickled_as_an_attribute_of_its_object(
    backend: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pickled, "method", make(backend).method)
    loaded = pickle.loads(pickle.dumps(Pickled().method))
    assert type(loaded) is backend.BoundMemo
    assert type(loaded.__self__) is Pickled
    assert loaded.__func__ is Pickled.method


def test_a_hit_of_a_method_can_be_ready(backend: ModuleType) -> None:
    owner = make(backend, ready=True)
    instance = owner()
    assert instance.method(1) == (instance, 1, {})
    assert type(instance.method(1)) is backend.Ready


def test_it_binds_objects_that_are_none_like(backend: ModuleType) -> None:
    owner = make(backend)

    owner.__bool__ = lambda self: False
    instance = owner()
    assert not instance
    assert instance.method(1) == (instance, 1, {})
