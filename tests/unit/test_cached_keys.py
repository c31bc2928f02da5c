"""Which calls `cached` takes for the same: those that functools.lru_cache does."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import cached

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = tuple[tuple[object, ...], dict[str, object]]


class Text(str):
    __slots__ = ()


class Number(int):
    pass


def echo(*args: object, **kwargs: object) -> object:
    return args, tuple(kwargs.items())


# Few enough that equal ones meet, and equal across types.
atoms = st.sampled_from(
    [
        *(0, 1, -1, -2, 2**70, True, False, 0.0, 1.0, -0.0, 1j, Number(1), None, ..., int, str),
        *("", "1", "a", Text("a"), b"", b"a", frozenset({1}), frozenset({1.0})),
    ]
)
values = st.recursive(atoms, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=4)
names = st.sampled_from(["a", "b", "c", "self", "key", "args"])
named = st.lists(st.tuples(names, values), max_size=3, unique_by=lambda pair: pair[0]).map(dict)
calls = st.tuples(st.lists(values, max_size=4).map(tuple), named)
histories = st.lists(calls, max_size=30)


def agree(ours: Callable[..., object], theirs: Callable[..., object], history: list[Call]) -> None:
    """Assert that the same calls are hits, and that they return the same."""
    for args, kwargs in history:
        assert repr(ours(*args, **kwargs)) == repr(theirs(*args, **kwargs))
        assert ours.cache_info() == theirs.cache_info()


@given(history=histories, typed=st.booleans(), maxsize=st.sampled_from([None, 1, 2, 5]))
def test_hits_and_misses_are_those_of_lru_cache(
    history: list[Call], typed: bool, maxsize: int | None
) -> None:
    options = {"maxsize": maxsize, "typed": typed}
    agree(cached(**options)(echo), functools.lru_cache(**options)(echo), history)


@given(history=histories, typed=st.booleans())
def test_methods_hit_and_miss_as_those_of_lru_cache(history: list[Call], typed: bool) -> None:
    class Ours:
        method = cached(typed=typed)(echo)

    class Theirs:
        method = functools.lru_cache(maxsize=1024, typed=typed)(echo)

    ours, theirs = Ours(), Theirs()
    for args, kwargs in history:
        if "self" in kwargs:
            continue
        assert repr(ours.method(*args, **kwargs)[1:]) == repr(theirs.method(*args, **kwargs)[1:])
        assert Ours.method.cache_info() == Theirs.method.cache_info()


@given(call=calls, typed=st.booleans())
def test_key_that_is_made_is_the_key_that_is_stored(call: Call, typed: bool) -> None:
    args, kwargs = call
    function = cached(typed=typed)(echo)
    value = function(*args, **kwargs)
    key = function.make_key(*args, **kwargs)
    assert list(function.cache) == [key]
    assert hash(key) == hash(next(iter(function.cache)))
    assert function.cache.peek(key) is value
    assert function.invalidate(*args, **kwargs) is True
    assert len(function.cache) == 0


@given(args=st.lists(values, min_size=2, max_size=5).map(tuple))
def test_key_of_positional_arguments_is_their_tuple(args: tuple[object, ...]) -> None:
    function = cached(echo)
    function.cache[args] = "by hand"
    assert function(*args) == "by hand"


def test_one_and_its_likes_are_kept_apart_as_by_lru_cache() -> None:
    ours = cached(lambda value: type(value).__name__)
    theirs = functools.lru_cache(lambda value: type(value).__name__)
    values = [1, "1", True, 1.0, b"1", Number(1), (1,), None]
    assert [ours(value) for value in values] == [theirs(value) for value in values]
    assert ours(1) == "int"
    assert ours("1") == "str"
    assert ours(True) == ours(1.0) == "bool"  # equal, and no exact int: one entry, as always


def test_typed_keeps_equal_arguments_of_different_types_apart() -> None:
    function = cached(typed=True)(lambda value, other=None: (type(value), type(other)))
    assert [function(3), function(3.0), function(True)] == [
        (int, type(None)),
        (float, type(None)),
        (bool, type(None)),
    ]
    assert function(1, other=1) == (int, int)
    assert function(1, other=1.0) == (int, float)
    assert function((1,)) == function((1.0,))  # only the arguments' own types count


def test_order_of_named_arguments_matters() -> None:
    function = cached(echo)
    assert function(a=1, b=2) != function(b=2, a=1)
    assert function.cache_info().misses == 2


def test_positional_and_named_arguments_are_different_calls() -> None:
    function = cached(lambda a, b=0: (a, b))
    assert [function(1, 2), function(1, b=2), function(a=1, b=2)] == [(1, 2)] * 3
    assert function.cache_info() == (0, 3, 1024, 3)


def test_defaults_are_not_filled_in() -> None:
    function = cached(lambda a, b=0: (a, b))
    assert function(1) == function(1, 0)
    assert function.cache_info().misses == 2


def test_names_cannot_be_mistaken_for_values() -> None:
    function = cached(echo)
    assert function("a", 1) == (("a", 1), ())
    assert function(a=1) == ((), (("a", 1),))
    assert function("a", a=1) == (("a",), (("a", 1),))
    assert function(("a", 1)) == ((("a", 1),), ())


@pytest.mark.parametrize("arguments", [([],), ({},), (1, []), ((1, [2]),), (set(),)])
def test_unhashable_argument_is_a_type_error(arguments: tuple[object, ...]) -> None:
    function = cached(echo)
    with pytest.raises(TypeError, match="unhashable type"):
        function(*arguments)
    with pytest.raises(TypeError, match="unhashable type"):
        function(option=arguments[-1])
    assert function.cache_info() == (0, 0, 1024, 0)


def test_key_function_chooses_the_key() -> None:
    calls = []

    @cached(key=lambda query, *, limit=10, trace=None: (query.lower(), limit))
    def search(query: str, *, limit: int = 10, trace: object = None) -> str:
        calls.append(query)
        return f"{query} {limit}"

    assert search("A") == search("a") == search("a", limit=10, trace=object()) == "A 10"
    assert search("a", limit=20) == "a 20"
    assert calls == ["A", "a"]
    assert set(search.cache) == {("a", 10), ("a", 20)}
    assert search.make_key("A") == ("a", 10)
    assert search.invalidate("A", trace=1) is True


def test_key_function_may_drop_what_cannot_be_hashed() -> None:
    function = cached(key=tuple)(sum)
    assert [function([1, 2]), function([1, 2])] == [3, 3]
    assert function.cache_info() == (1, 1, 1024, 1)


def test_key_function_is_called_once_per_call() -> None:
    keys = []
    function = cached(key=lambda value: keys.append(value) or value)(echo)
    function("a")
    function("a")
    assert keys == ["a", "a"]


def test_error_of_the_key_function_reaches_the_caller() -> None:
    function = cached(key=lambda value: value.missing)(echo)
    with pytest.raises(AttributeError, match="missing"):
        function("a")


def test_key_function_of_a_method_gets_the_instance() -> None:
    class Service:
        def __init__(self, region: str) -> None:
            self.region = region

        @cached(key=lambda self, number: (self.region, number))
        def price(self, number: int) -> str:
            return f"{self.region} {number}"

    assert Service("eu").price(1) is Service("eu").price(1)
    assert Service("us").price(1) == "us 1"
    assert Service.price.cache_info().hits == 1


def test_arguments_with_custom_equality() -> None:
    class User:
        def __init__(self, number: int) -> None:
            self.number = number

        def __eq__(self, other: object) -> bool:
            return isinstance(other, User) and self.number == other.number

        def __hash__(self) -> int:
            return self.number % 2  # some of them collide

    function = cached(lambda user, *rest: user.number)
    assert [function(User(n)) for n in [1, 2, 3, 1, 2, 3]] == [1, 2, 3, 1, 2, 3]
    assert [function(User(n), "more") for n in [1, 2, 3, 1, 2, 3]] == [1, 2, 3, 1, 2, 3]
    assert function.cache_info() == (6, 6, 1024, 6)
