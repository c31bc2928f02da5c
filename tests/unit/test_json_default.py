"""JSON: what `default` is asked, and what becomes of its answer."""

from __future__ import annotations

from datetime import UTC, time

import pytest
from tests.jsons import Thing, both, dumped, encoded, value_of


@pytest.mark.parametrize("backend", both())
def test_default_says_what_is_written(backend: str) -> None:
    assert encoded(backend, [Thing(1), {"a": Thing(Thing([Thing(2)]))}], default=value_of) == (
        b'[1,{"a":[2]}]'
    )
    assert encoded(backend, Thing(), default=value_of) == b"null"
    assert encoded(backend, b"q", default=repr) == b"\"b'q'\""


@pytest.mark.parametrize("backend", both())
def test_what_default_raises_is_the_cause(backend: str) -> None:
    problem = KeyError("gone")

    def fail(_: object) -> object:
        raise problem

    with pytest.raises(TypeError, match="Thing") as caught:
        encoded(backend, [Thing()], default=fail)
    assert caught.value.__cause__ is problem
    with pytest.raises(TypeError) as caught:
        encoded(backend, Thing(), default=3)  # type: ignore[arg-type]
    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize("backend", both())
@pytest.mark.parametrize("wrong", [2**64, "\ud800", time(1, tzinfo=UTC), {Thing(): 1}, {b"": 1}])
def test_default_is_not_asked_about_what_is_merely_wrong(backend: str, wrong: object) -> None:
    with pytest.raises(TypeError):
        encoded(backend, wrong, default=lambda _: "asked")


@pytest.mark.parametrize("backend", both())
@pytest.mark.parametrize("wrapped", [False, True])
def test_default_that_never_ends_is_stopped(backend: str, wrapped: bool) -> None:
    calls = []

    def again(thing: object) -> object:
        calls.append(thing)
        return [Thing()] if wrapped else Thing()

    with pytest.raises(TypeError, match="ecursion limit"):
        encoded(backend, Thing(), default=again)
    assert len(calls) == 255


@pytest.mark.parametrize("backend", both())
def test_default_is_called_as_often_as_needed(backend: str) -> None:
    calls: list[object] = []

    def number(thing: object) -> int:
        calls.append(thing)
        return len(calls)

    things = [Thing() for _ in range(1000)]
    assert encoded(backend, things, default=number) == dumped(list(range(1, 1001)))
    assert calls == things
