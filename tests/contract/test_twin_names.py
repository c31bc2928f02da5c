"""Both backends have the same names, signatures and first lines of documentation."""

from __future__ import annotations

import inspect

import pytest
from tests.backends import BACKENDS, load_backend

if "native" in BACKENDS:
    NATIVE = load_backend("native")
else:
    pytest.skip("ONLY ONE BACKEND IS TESTED: PENSTOCK_PURE is set", allow_module_level=True)
PURE = load_backend("pure")

METRICS = ["Counter", "Family", "Gauge", "Histogram", "Summary", "Timer"]
FLOW = ["Breaker", "Parker", "RateGate", "WaiterQueue"]
BATCHING = ["Ring"]
CACHING = ["Entry", "Front"]
CLASSES = [
    "BoundMemo", "Cache", "CacheStats", "Flight", "Memo", "Ready", *METRICS, *FLOW, *BATCHING,
    *CACHING,
]  # fmt: skip
#: What the asynchronous layer uses.
PROTOCOL = {"_abandon", "_begin", "_commit", "_invalidate"}
#: What the layer of the metrics uses.
METRIC_PROTOCOL = {
    "__enter__", "__exit__", "_children", "_documentation", "_init", "_labelnames", "_labelvalues",
    "_max_series", "_name", "_new", "_read", "_remove_where", "_type", "_unit", "_upper_bounds",
}  # fmt: skip
#: What the layer of flow control uses; what the exits call their arguments nobody sees.
FLOW_PROTOCOL = {
    "__enter__", "__aenter__", "_begin", "_end", "_enqueue", "_hold", "_init", "_sample",
    "_set_max_weight", "_set_rate", "_stats", "_take", "_withdraw",
}  # fmt: skip
#: What the layer of batching uses.
BATCHING_PROTOCOL = {
    "_age", "_bind", "_close", "_closed", "_counts", "_drop_oldest", "_head", "_init", "_listen",
    "_loop", "_push", "_sweep", "_tail", "_take", "_weigh",
}  # fmt: skip
#: What the layer of caches in tiers uses.
CACHING_PROTOCOL = {"_attach", "_epoch"}


def public(cls: type) -> set[str]:
    protocol = PROTOCOL
    if cls.__name__ in METRICS:
        protocol = METRIC_PROTOCOL
    elif cls.__name__ in FLOW:
        protocol = FLOW_PROTOCOL
    elif cls.__name__ in BATCHING:
        protocol = BATCHING_PROTOCOL
    elif cls.__name__ in CACHING:
        protocol = CACHING_PROTOCOL
    return {name for name in dir(cls) if not name.startswith("_") or name in protocol}


MEMBERS = [(cls, name) for cls in CLASSES for name in sorted(public(getattr(NATIVE, cls)))]


def first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]


def parameters(function: object) -> list[tuple[str, str, str]]:
    """Names, kinds and defaults; whether ``self`` has a name is of no interest."""
    signature = inspect.signature(function)  # type: ignore[arg-type]  # of anything callable
    return [
        (parameter.name, parameter.kind.name, repr(parameter.default))
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    ]


def test_the_modules_have_the_same_names() -> None:
    for name in PURE.__all__:
        assert hasattr(NATIVE, name), name
    native = {name for name in vars(NATIVE) if not name.startswith("_")}
    assert native == set(PURE.__all__)


@pytest.mark.parametrize("cls", CLASSES)
def test_the_classes_have_the_same_public_members(cls: str) -> None:
    internal = {"key", "hashed", "load", "users", "revoke"} if cls == "Flight" else set()
    assert public(getattr(PURE, cls)) - internal == public(getattr(NATIVE, cls))


@pytest.mark.parametrize(("cls", "name"), MEMBERS)
def test_members_have_the_same_signature(cls: str, name: str) -> None:
    native, pure = (getattr(getattr(backend, cls), name) for backend in (NATIVE, PURE))
    assert callable(native) == callable(pure)
    if callable(native):
        try:
            expected = parameters(native)
        except ValueError:
            assert (cls, name) == ("Cache", "pop"), "a method has no readable signature"
        else:
            assert parameters(pure) == expected


@pytest.mark.parametrize("cls", ["Cache", "CacheStats", "Memo"])
def test_constructors_have_the_same_signature(cls: str) -> None:
    assert parameters(getattr(PURE, cls)) == parameters(getattr(NATIVE, cls))


@pytest.mark.parametrize(("cls", "name"), MEMBERS)
def test_members_have_the_same_first_line(cls: str, name: str) -> None:
    native, pure = (getattr(getattr(backend, cls), name) for backend in (NATIVE, PURE))
    if first_line(native):
        assert first_line(pure) == first_line(native)


# BoundMemo shows the docstring of the method that it is.
DOCUMENTED = [name for name in CLASSES if name != "BoundMemo"]


FUNCTIONS = ["drops", "duration", "encode", "set_metric_hooks", "set_named", "set_recursive_load"]


@pytest.mark.parametrize("name", ["drops", "encode", "set_metric_hooks"])
def test_functions_have_the_same_signature(name: str) -> None:
    assert parameters(getattr(PURE, name)) == parameters(getattr(NATIVE, name))


@pytest.mark.parametrize("name", [*DOCUMENTED, *FUNCTIONS])
def test_names_of_the_module_have_the_same_first_line(name: str) -> None:
    native, pure = (inspect.getdoc(getattr(backend, name)) or "" for backend in (NATIVE, PURE))
    lines = [[line for line in text.splitlines() if line] for text in (native, pure)]
    assert lines[0][0] == lines[1][0]
