"""Under which key a Memo keeps the result of a call."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from tests.memos import Counting, make

CALLS: list[tuple[tuple[object, ...], dict[str, object]]] = [
    ((), {}),
    ((1,), {}),
    (("1",), {}),
    ((1.0,), {}),
    ((True,), {}),
    ((None,), {}),
    (((1,),), {}),
    (((),), {}),
    ((1, 2), {}),
    ((1, 2.0), {}),
    (((1, 2),), {}),
    ((1,), {"b": 2}),
    ((1, "b", 2), {}),
    ((1,), {"b": 2, "c": 3}),
    ((1,), {"c": 3, "b": 2}),
    ((), {"a": 1}),
    ((), {"a": True}),
    ((b"1",), {}),
    ((frozenset([1]),), {}),
]


@pytest.mark.parametrize("typed", [False, True])
def test_calls_share_a_result_exactly_if_they_do_with_lru_cache(
    backend: ModuleType, typed: bool
) -> None:
    def number_of_keys(calls: list[int], decorate: Callable[..., Any]) -> list[int]:
        func = Counting()
        decorated = decorate(func)
        numbers = []
        for which in calls:
            args, kwargs = CALLS[which]
            numbers.append(decorated(*args, **kwargs)[0])
        return numbers

    orders = [list(range(len(CALLS))) * 2, list(reversed(range(len(CALLS)))) * 2]
    for order in orders:
        expected = number_of_keys(order, functools.lru_cache(maxsize=None, typed=typed))
        got = number_of_keys(
            order, lambda func: backend.Memo(func, backend.Cache(None), typed=typed)
        )
        assert got == expected


def test_keys_are_those_of_functools(backend: ModuleType) -> None:
    memo = make(backend)
    assert memo.make_key(1) == 1
    assert memo.make_key("x") == "x"
    assert type(memo.make_key(1)) is int
    assert memo.make_key(1.0) == (1.0,)
    assert memo.make_key(True) == (True,)
    assert type(memo.make_key(True)) is tuple
    assert memo.make_key() == ()
    assert memo.make_key(1, 2) == (1, 2)
    mark = memo.make_key(a=1)[0]
    assert memo.make_key(1, 2, a=3, b=4) == (1, 2, mark, "a", 3, "b", 4)
    assert memo.make_key(a=1) == (mark, "a", 1)
    assert type(mark) is object
    assert make(backend).make_key(a=1) == (mark, "a", 1)


def test_typed_keys_have_the_types_at_the_end(backend: ModuleType) -> None:
    memo = make(backend, typed=True)
    assert memo.make_key(1) == (1, int)
    assert memo.make_key(1.0, "x") == (1.0, "x", float, str)
    mark = memo.make_key(a=1)[0]
    assert memo.make_key(1, a="x") == (1, mark, "a", "x", int, str)


def test_the_key_of_a_call_finds_its_result_in_the_cache(backend: ModuleType) -> None:
    variants: list[dict[str, Any]] = [
        {},
        {"typed": True},
        {"key": lambda *args, **kwargs: (args, str(kwargs))},
    ]
    for options in variants:
        cache = backend.Cache(99)
        memo = make(backend, cache=cache, **options)
        for args, kwargs in CALLS:
            result = memo(*args, **kwargs)
            assert cache.peek(memo.make_key(*args, **kwargs)) == result
            assert cache._invalidate(memo.make_key(*args, **kwargs)) is True
        assert len(cache) == 0


def test_a_result_put_under_the_key_of_a_call_is_found(backend: ModuleType) -> None:
    variants: list[dict[str, Any]] = [{}, {"typed": True}]
    for options in variants:
        cache = backend.Cache(99)
        memo = make(backend, cache=cache, **options)
        for number, (args, kwargs) in enumerate(CALLS):
            cache[memo.make_key(*args, **kwargs)] = number
            assert memo(*args, **kwargs) == number


def test_a_key_function_gives_the_key(backend: ModuleType) -> None:
    cache = backend.Cache(99)
    memo = make(backend, cache=cache, key=lambda user, **options: user["id"])
    first = memo({"id": 7, "name": "a"}, deep=True)
    assert memo({"id": 7, "name": "b"}) is first
    assert list(cache) == [7]
    assert memo.make_key({"id": 8}) == 8


def test_an_exception_of_the_key_function_reaches_the_caller(backend: ModuleType) -> None:
    memo = make(backend, key=lambda user: user["id"])
    with pytest.raises(KeyError, match="id"):
        memo({})


def test_unhashable_arguments_are_refused(backend: ModuleType) -> None:
    memo = make(backend)
    unhashable: list[tuple[object, ...]] = [([],), (1, []), ({},)]
    for arguments in unhashable:
        with pytest.raises(TypeError, match="unhashable type"):
            memo(*arguments)
    with pytest.raises(TypeError, match="unhashable type"):
        memo(a=[])
