"""Calls by every protocol there is, with any number of arguments, arrive as they were made."""

from __future__ import annotations

import copy
import functools
import operator
import threading
from typing import TYPE_CHECKING

from tests.stress.harness import in_child, rounds

from penstock import Cache, _backend, cached

if TYPE_CHECKING:
    from collections.abc import Callable

#: Around the room there is for arguments without an allocation, and far beyond.
ARITIES = (0, 1, 2, 6, 7, 8, 9, 10, 50, 300)
UNHASHABLE = "unhashable type: 'list'"


def echo(*args: object, **kwargs: object) -> tuple[object, ...]:
    return args, tuple(kwargs.items())


def error_of(call: Callable[[], object]) -> str:
    try:
        call()
    except TypeError as error:
        return str(error)
    raise AssertionError("nothing was raised")


#: Ways to make a call.
CALLS: dict[str, Callable[..., object]] = {
    "directly": lambda call, args, kwargs: call(*args, **kwargs),
    "__call__": lambda call, args, kwargs: call.__call__(*args, **kwargs),
    "type(call).__call__": lambda call, args, kwargs: type(call).__call__(call, *args, **kwargs),
    "operator.call": lambda call, args, kwargs: operator.call(call, *args, **kwargs),
    "partial": lambda call, args, kwargs: functools.partial(call, *args, **kwargs)(),
    "half a partial": lambda call, args, kwargs: functools.partial(
        call, *args[: len(args) // 2], **kwargs
    )(*args[len(args) // 2 :]),
    "in another thread": lambda call, args, kwargs: in_thread(lambda: call(*args, **kwargs)),
}


def in_thread(call: Callable[[], object]) -> object:
    results = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join()
    return results[0]


def arguments(arity: int) -> list[tuple[tuple[object, ...], dict[str, object]]]:
    """That many arguments, from all positional to all named."""
    splits = {arity, arity // 2, 0}
    return [
        (tuple(range(split)), {f"name{number}": number for number in range(split, arity)})
        for split in sorted(splits)
    ]


@in_child
def test_functions_get_their_arguments_whatever_the_protocol() -> None:
    for options in ({}, {"typed": True}, {"key": echo}):
        function = cached(maxsize=None, **options)(echo)
        for arity in ARITIES:
            for args, kwargs in arguments(arity):
                misses = function.cache_info().misses
                for name, make in CALLS.items():
                    print(options, arity, len(kwargs), name)
                    assert make(function, args, kwargs) == (args, tuple(kwargs.items()))
                assert function.cache_info().misses == misses + 1


@in_child
def test_methods_get_self_in_front_whatever_the_protocol() -> None:
    class Service:
        method = cached(maxsize=None)(echo)

    service = Service()
    for arity in ARITIES:
        for args, kwargs in arguments(arity):
            expected = ((service, *args), tuple(kwargs.items()))
            misses = Service.method.cache_info().misses
            for name, make in CALLS.items():
                print(arity, len(kwargs), name)
                assert make(service.method, args, kwargs) == expected
                assert make(Service.method, (service, *args), kwargs) == expected
                assert make(operator.attrgetter("method")(service), args, kwargs) == expected
            assert operator.methodcaller("method", *args, **kwargs)(service) == expected
            assert Service.method.cache_info().misses == misses + 1


@in_child
def test_bound_methods_forward_whatever_the_arity() -> None:
    class Service:
        method = cached(maxsize=None)(echo)

    service = Service()
    for arity in ARITIES:
        for args, kwargs in arguments(arity):
            print(arity, len(kwargs))
            expected = service.method(*args, **kwargs)
            assert service.method.make_key(*args, **kwargs) in Service.method.cache
            assert service.method.refresh(*args, **kwargs) == expected
            assert service.method.invalidate(*args, **kwargs) is True
            assert service.method.invalidate(*args, **kwargs) is False


@in_child
def test_bound_method_kept_on_another_class_is_not_bound_again() -> None:
    class Service:
        @cached
        def plain(self, *args: int) -> tuple[object, ...]:
            return (self, *args)

    class Other:
        borrowed = Service().plain

    service = Other.borrowed.__self__
    assert Other().borrowed(3) == (service, 3)
    bound = Other().borrowed
    assert bound(3) == (service, 3)
    assert Other.borrowed(3) == (service, 3)


@in_child
def test_function_kept_on_an_instance_is_not_bound() -> None:
    class Service:
        def __init__(self) -> None:
            self.function = cached(echo)

    assert Service().function(1, a=2) == ((1,), (("a", 2),))


@in_child
def test_calls_from_c_iterators() -> None:
    function = cached(maxsize=None)(echo)
    assert list(map(function, range(50))) == [((number,), ()) for number in range(50)]
    assert list(map(function, range(9), "ab")) == [((0, "a"), ()), ((1, "b"), ())]
    assert sorted([3, 1, 2], key=cached(operator.neg)) == [3, 2, 1]
    assert functools.reduce(cached(operator.add), range(10)) == 45
    assert list(iter(cached(lambda: 1), 1)) == []


@in_child
def test_arguments_that_die_during_the_call_are_kept_until_its_end() -> None:
    class Doomed:
        def __hash__(self) -> int:
            things.clear()
            junk.extend([object() for _ in range(100)])
            return 7

        def __eq__(self, other: object) -> bool:
            things.clear()
            return isinstance(other, Doomed)

    things: list[object] = []
    junk: list[object] = []
    function = cached(echo)
    for _ in range(rounds(200)):
        things += [Doomed(), Doomed(), Doomed()]
        (args, kwargs) = function(*things, option=Doomed())
        assert all(type(argument) is Doomed for argument in args)
        assert type(kwargs[0][1]) is Doomed


@in_child
def test_key_of_a_call_agrees_with_the_tuple_it_stands_for() -> None:
    function = cached(maxsize=None)(echo)
    parts = ["text", 1, -1, -2, 0, 2**61 - 1, 2**64, None, 1.5, b"bytes", (), (1, (2, "3"))]
    calls = [(one, other, third) for one in parts for other in parts for third in parts]
    for call in calls:
        function(*call)
        assert call in function.cache
        assert function.make_key(*call) == call
        function.cache[(*call, "by hand")] = "by hand"
        assert function(*call, "by hand") == "by hand"
    assert function.cache_info().misses == len(calls)


@in_child
def test_wrong_arguments_of_get_are_type_errors() -> None:
    cache: Cache[object, object] = Cache(8)
    cache["a"] = 1
    assert cache.get(key="a") == cache.get("a", default=2) == Cache.get(cache, "a") == 1
    assert cache.get("b", 2) == cache.get("b", default=2) == cache.get(default=2, key="b") == 2
    for call in (
        cache.get,
        lambda: cache.get("a", 1, 2),
        lambda: cache.get("a", 1, default=2),
        lambda: cache.get("a", key="a"),
        lambda: cache.get("a", other=1),
        lambda: cache.get(default=1),
        lambda: cache.get(*range(100)),
        lambda: cache.get(**{f"name{number}": number for number in range(100)}),
        Cache.get,
    ):
        assert "get" in error_of(call)
    assert error_of(lambda: cache.get([])) == UNHASHABLE
    assert cache.stats().hits + cache.stats().misses == 6


@in_child(native_only="a Python function takes anything for self")
def test_get_of_something_else_than_a_cache_is_a_type_error() -> None:
    for other in ("a", None, {}, Cache, _backend.Ready(1), cached(echo)):
        assert "Cache" in error_of(lambda other=other: Cache.get(other, "a"))
        assert "Ready" in error_of(lambda other=other: _backend.Ready.send(Cache(1), other))
        assert "Memo" in error_of(lambda other=other: _backend.Memo.__call__(_backend, other))


@in_child
def test_no_class_accepts_a_subclass() -> None:
    for base in (Cache, _backend.Memo, _backend.Ready, _backend.Flight, _backend.BoundMemo):
        if _backend.BACKEND == "pure" and base not in {Cache, _backend.Memo}:
            continue  # final for type checkers only
        print(base)
        assert "not an acceptable base type" in error_of(lambda base=base: type("Sub", (base,), {}))


@in_child
def test_named_arguments_keep_their_order_and_their_names() -> None:
    function = cached(maxsize=None)(echo)
    for _ in range(2):
        assert function(b=1, a=2) == ((), (("b", 1), ("a", 2)))
        assert function(a=2, b=1) == ((), (("a", 2), ("b", 1)))
        assert function("a", 2, b=1) == (("a", 2), (("b", 1),))
        assert function(**{"not a name": 1, "": 2}) == ((), (("not a name", 1), ("", 2)))
    assert function.cache_info().misses == 4


@in_child
def test_error_of_a_call_leaves_no_error_behind() -> None:
    function = cached(echo)
    for _ in range(rounds(100)):
        assert error_of(lambda: function([])) == UNHASHABLE
        assert error_of(lambda: function(1, option=[])) == UNHASHABLE
        assert error_of(lambda: function(**{1: 2})) == "keywords must be strings"
        assert function(1) == ((1,), ())


@in_child
def test_copies_of_a_function_are_the_function() -> None:
    function = cached(echo)
    assert copy.copy(function) is copy.deepcopy(function) is function
