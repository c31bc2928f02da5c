"""`TieredCache.cached`: which functions it takes, what it is told, and what it looks like."""

from __future__ import annotations

import asyncio
import copy
import functools
import gc
import inspect
import pickle
import re
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from tests.steps import run

from penstock import TieredCache
from penstock.caching import _function_claims

if TYPE_CHECKING:
    from penstock.caching import TieredFunction


class Calls:
    """A coroutine function that does nothing."""

    async def load(self, *args: object) -> None: ...


cache_of_module = TieredCache(ttl=60)


@cache_of_module.cached
async def of_module(number: int) -> str:
    """Return a text."""
    return str(number)


def test_keys_begin_with_module_and_name() -> None:
    prefix = f"{__name__}.of_module"
    assert of_module.name == prefix
    assert of_module.key(1).startswith(f"{prefix}:")
    assert of_module.cache is cache_of_module


def test_two_functions_with_one_prefix_are_refused() -> None:
    cache = TieredCache(ttl=60)
    load = cache.cached(Calls().load, prefix="a")
    with pytest.raises(ValueError, match=r"prefix 'a' of this cache is that of .* prefix="):
        cache.cached(Calls.load, prefix="a")
    TieredCache(ttl=60).cached(Calls.load, prefix="a")
    assert load.name == "a"


def test_functions_that_were_made_in_a_function_need_a_prefix() -> None:
    cache = TieredCache(ttl=60)

    def make(number: int) -> TieredFunction[[], int]:
        @cache.cached
        async def load() -> int:
            return number

        return load

    first = make(1)
    with pytest.raises(ValueError, match=r"make\.<locals>\.load.* prefix="):
        make(2)
    assert first.name.endswith("make.<locals>.load")


async def add(one: int, other: int) -> int:
    return one + other


def closures() -> list[Any]:
    def close_over(number: int) -> Any:
        async def load(other: int) -> int:
            return number + other

        return load

    return [close_over(1), close_over(2)]


@pytest.mark.parametrize(
    "make",
    [
        closures,
        lambda: [functools.partial(add, number) for number in (1, 2)],
        lambda: [Calls().load, Calls().load],
        lambda: [Calls().load, Calls.load],
    ],
    ids=["closures", "partials", "bound methods", "a bound method and its function"],
)
@pytest.mark.parametrize("options", [{}, {"prefix": "own"}])
def test_a_prefix_is_that_of_a_function_that_is_gone(make: Any, options: dict[str, Any]) -> None:
    cache = TieredCache(ttl=60)
    one, other = make()
    name = cache.cached(one, **options).name
    del one
    gc.collect()  # what it has returned is there as before
    with pytest.raises(ValueError, match=rf"prefix '{re.escape(name)}' .* prefix="):
        cache.cached(other, **options)
    with pytest.raises(ValueError, match="overlap"):
        cache.cached(other, prefix=f"{name}:more")
    assert cache.cached(other, prefix=f"{name} too").name == f"{name} too"


def test_prefixes_of_a_cache_that_is_gone_are_forgotten() -> None:
    cache = TieredCache(ttl=60)
    cache.cached(add, prefix="a:b:c")
    gone = weakref.ref(cache)
    known = len(_function_claims._claims)
    del cache
    gc.collect()
    assert gone() is None
    assert len(_function_claims._claims) < known


def test_what_is_called_self_is_no_self_outside_a_class() -> None:
    cache = TieredCache(ttl=60)

    @cache.cached
    async def load(self: int, number: int) -> None: ...

    assert load.key(1, 2) != load.key(2, 2)


def test_a_method_of_a_class_that_is_made_again_is_another_one() -> None:
    cache = TieredCache(ttl=60)

    def repository(name: str) -> type:
        class Repository:
            table = name

            @cache.cached
            async def row(self, number: int) -> str:
                return f"{number} of {self.table}"

        return Repository

    repository("users")
    with pytest.raises(ValueError, match=r"that of another function, .*Repository\.row"):
        repository("orders")


def test_a_function_may_be_defined_again() -> None:
    """As when its module is imported anew, or typed in once more."""
    cache = TieredCache(ttl=60)
    names: dict[str, Any] = {"cache": cache, "__name__": "reloaded"}
    text = "@cache.cached\nasync def load(n):\n    return n"
    exec(text, names)
    kept = names["load"]
    exec(text, names)
    assert kept is not names["load"]
    assert kept.key(1) == names["load"].key(1)
    names["load"] = kept = None
    gc.collect()
    exec(text, names)  # also when those before are gone
    with pytest.raises(ValueError, match=r"that of another function, reloaded\.load"):
        exec("@cache.cached(prefix='reloaded.load')\nasync def other(n): ...", names)


def test_what_is_no_coroutine_function_is_refused() -> None:
    cache = TieredCache(ttl=60)

    async def generate() -> Any:
        yield 1

    for wrong in (lambda: None, generate, Calls, 5, staticmethod(Calls.load)):
        with pytest.raises(TypeError, match="cached"):
            cache.cached(wrong)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"penstock\.cached takes it"):
        cache.cached(lambda: None)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"key": 1}, TypeError, "key must be callable, got int"),
        ({"prefix": 1}, TypeError, "prefix must be a str, got int"),
        ({"prefix": ""}, ValueError, "prefix must not be empty"),
        ({"enabled": 1}, TypeError, "enabled must be a bool, got int"),
        ({"tll": 5}, TypeError, "no option 'tll'"),
        ({"ttl": 0}, ValueError, "ttl"),
        ({"ttl": "1"}, TypeError, "ttl"),
        ({"tags": "users"}, TypeError, "tags must be a sequence of str or callable, got the str"),
        ({"tags": [1]}, TypeError, "tags must be a sequence of str, got one of int"),
        ({"tags": ["{b}"]}, ValueError, "tag '{b}' names 'b', which is no argument of .*: .* a"),
        ({"tags": ["{}"]}, ValueError, "names ''"),
        ({"tags": ["{a"]}, ValueError, "tag '{a' is no template"),
    ],
)
def test_wrong_options_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    async def load(a: int) -> None: ...

    cache = TieredCache(ttl=60)
    with pytest.raises(error, match=message):
        cache.cached(**options)(load)


def test_arguments_that_do_not_fit_are_refused_as_by_the_function() -> None:
    with pytest.raises(TypeError, match=r"of_module\(\) missing a required argument: 'number'"):
        of_module()  # type: ignore[call-arg]


def test_it_looks_like_the_function() -> None:
    assert of_module.__name__ == of_module.__qualname__ == "of_module"
    assert of_module.__doc__ == "Return a text."
    assert of_module.__module__ == __name__
    assert list(inspect.signature(of_module).parameters) == ["number"]
    assert asyncio.iscoroutinefunction(of_module)
    assert copy.copy(of_module) is copy.deepcopy(of_module) is of_module
    assert pickle.loads(pickle.dumps(of_module)) is of_module
    assert "of_module" in repr(of_module)


def test_partials_and_objects_can_be_cached() -> None:
    class Loader:
        async def __call__(self, number: int) -> int:
            return number

    async def load(factor: int, number: int) -> int:
        return factor * number

    async def main() -> None:
        cache = TieredCache(ttl=60)
        by_object = cache.cached(Loader())
        by_partial = cache.cached(functools.partial(load, 3))
        assert [await by_object(2), await by_partial(2)] == [2, 6]
        assert [await by_object(2), await by_partial(2)] == [2, 6]
        assert by_object.stats().hits == by_partial.stats().hits == 1

    run(main())


@pytest.mark.parametrize(("one", "other"), [("user", "user:name"), ("user:name", "user")])
def test_prefixes_do_not_overlap(one: str, other: str) -> None:
    cache = TieredCache(ttl=60)

    async def function(name: str) -> str:
        return name

    first = cache.cached(function, prefix=one)
    with pytest.raises(ValueError, match=f"'{other}' and '{one}', that of .*function, overlap"):
        cache.cached(function, prefix=other)
    others = [cache.cached(function, prefix=prefix) for prefix in ("users", "use")]
    assert [each.name for each in (first, *others)] == [one, "users", "use"]
