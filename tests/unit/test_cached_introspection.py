"""A cached function looks like the function that it stands for."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import pickle
import weakref
from typing import get_type_hints

import pytest

from penstock import cached
from penstock.caching import CachedCoroutineFunction, CachedFunction


@cached
def area(width: int, height: int = 1, *rest: int, unit: str = "m", **more: str) -> str:
    """Return an area."""
    return f"{width * height} {unit}2"


@cached(maxsize=5)
async def area_later(width: int, height: int = 1, *, unit: str = "m") -> str:
    """Return an area, later."""
    return f"{width * height} {unit}2"


class Shape:
    @cached
    def area(self, width: int) -> int:
        """Return the area of the shape."""
        return width

    @cached
    async def area_later(self, width: int) -> int:
        """Return the area of the shape, later."""
        return width


shape = Shape()

functions = pytest.mark.parametrize("function", [area, area_later, Shape.area, Shape.area_later])
methods = pytest.mark.parametrize("method", [shape.area, shape.area_later])


@functions
def test_name_docstring_and_module_are_those_of_the_function(function: object) -> None:
    wrapped = function.__wrapped__
    assert inspect.isfunction(wrapped)
    for name in ("__name__", "__qualname__", "__doc__", "__module__", "__annotations__"):
        assert getattr(function, name) == getattr(wrapped, name), name
    assert inspect.getdoc(function).startswith("Return ")
    assert inspect.getsourcefile(inspect.unwrap(function)) == inspect.getsourcefile(wrapped)


@methods
def test_name_docstring_and_module_of_a_bound_method_are_those_of_the_function(
    method: object,
) -> None:
    for name in ("__name__", "__qualname__", "__doc__", "__module__"):
        assert getattr(method, name) == getattr(method.__wrapped__, name), name
    assert inspect.getdoc(method).startswith("Return the area of the shape")


@functions
def test_signature_is_that_of_the_function(function: object) -> None:
    assert inspect.signature(function) == inspect.signature(function.__wrapped__)
    assert get_type_hints(function) == get_type_hints(function.__wrapped__)


@methods
def test_signature_of_a_bound_method_has_no_self(method: object) -> None:
    assert str(inspect.signature(method)) == "(width: 'int') -> 'int'"


@pytest.mark.parametrize("function", [area_later, Shape.area_later, shape.area_later])
def test_coroutine_function_is_known_as_one(function: object) -> None:
    assert asyncio.iscoroutinefunction(function)
    assert inspect.iscoroutinefunction(function)
    assert inspect.iscoroutinefunction(functools.partial(function, 1))


@pytest.mark.parametrize("function", [area, Shape.area, shape.area, cached(len), cached(Shape)])
def test_ordinary_function_is_not_taken_for_a_coroutine_function(function: object) -> None:
    assert not asyncio.iscoroutinefunction(function)
    assert not inspect.iscoroutinefunction(function)


def test_coroutine_functions_of_every_kind_are_known() -> None:
    class Loader:
        async def __call__(self, key: str) -> str:
            return key

        async def method(self, key: str) -> str:
            return key

    for function in (
        Loader(),
        Loader().method,
        functools.partial(Loader().method),
        functools.partial(area_later.__wrapped__, 3),
        cached(Loader().method),
    ):
        made = cached(function)
        assert asyncio.iscoroutinefunction(made)
        assert inspect.iscoroutinefunction(made)
        first = asyncio.run(made("a" if function is not made else 1))
        assert asyncio.run(made("a")) is first


def test_attributes_of_the_function_are_kept() -> None:
    def function() -> None: ...

    function.route = "/here"
    made = cached(function)
    assert made.route == "/here"
    made.other = 1
    assert made.other == 1
    assert made.__dict__["other"] == 1
    del made.other
    assert not hasattr(made, "other")


def test_representation_names_the_function() -> None:
    assert "area" in repr(area)
    assert "area" in repr(shape.area)
    assert repr(area) == f"<cached {area.__wrapped__!r}>"


@functions
def test_pickle_is_by_name(function: object) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(function, protocol)) is function


def test_pickle_of_a_local_function_is_refused_as_for_any_other() -> None:
    @cached
    def local() -> None: ...

    with pytest.raises((pickle.PicklingError, AttributeError), match="local"):
        pickle.dumps(local)


def test_pickle_of_a_bound_method_takes_the_instance_along() -> None:
    for method in (shape.area, shape.area_later):
        back = pickle.loads(pickle.dumps(method))
        assert isinstance(back.__self__, Shape)
        assert back.__self__ is not shape
        assert back.__func__ is method.__func__
    assert pickle.loads(pickle.dumps(shape.area))(3) == 3


@functions
def test_copy_is_the_function_itself(function: object) -> None:
    assert copy.copy(function) is function
    assert copy.deepcopy(function) is function
    assert copy.deepcopy([function, {"key": function}]) == [function, {"key": function}]


def test_copy_of_a_bound_method_is_bound_to_the_same_instance() -> None:
    assert copy.copy(shape.area) == shape.area


def test_weak_references_can_be_made() -> None:
    assert weakref.ref(area)() is area
    method = shape.area
    assert weakref.ref(method)() is method


def test_functools_takes_it_for_a_function() -> None:
    @functools.wraps(area)
    def outer(*args: int) -> str:
        return area(*args)

    assert outer.__name__ == "area"
    assert str(inspect.signature(outer)) == str(inspect.signature(area))
    assert functools.singledispatch(cached(str)).dispatch(int)(1) == "1"


def test_decorators_can_be_stacked_on_either_side() -> None:
    calls = []

    def logged(function: object) -> object:
        @functools.wraps(function)
        def inner(*args: int) -> object:
            calls.append(args)
            return function(*args)

        return inner

    outside, inside = logged(cached(str)), cached(logged(str))
    for _ in range(2):
        assert outside(1) == inside(1) == "1"
    assert calls == [(1,), (1,), (1,)]


def test_what_type_checkers_are_told_is_there() -> None:
    common = {"__call__", "__get__", "__wrapped__", "refresh"}
    for protocol, function in ((CachedFunction, area), (CachedCoroutineFunction, area_later)):
        promised = {name for base in protocol.__mro__ for name in vars(base)}
        assert common <= promised
        public = {name for name in promised if not name.startswith("_")} | common
        assert {name for name in public if not hasattr(function, name)} == set()
