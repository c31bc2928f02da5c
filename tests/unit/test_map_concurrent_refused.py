"""`map_concurrent`: what it does not take."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

import pytest
from tests.steps import run

from penstock.flow._map import map_concurrent


async def double(number: int) -> int:
    await asyncio.sleep(1)
    return 2 * number


async def _refused(**options: Any) -> None:
    await map_concurrent(**({"fn": double, "items": [1], "limit": 1} | options))


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"limit": 0}, ValueError, "limit must be >= 1, got 0"),
        ({"limit": -3}, ValueError, "limit must be >= 1, got -3"),
        ({"limit": True}, TypeError, "limit must be an int or a Limiter, got bool"),
        ({"limit": 2.0}, TypeError, "limit must be an int or a Limiter, got float"),
        ({"limit": None}, TypeError, "limit must be an int or a Limiter, got NoneType"),
        ({"fn": None}, TypeError, "fn must be callable, got NoneType"),
        ({"items": 5}, TypeError, "items must be an iterable or an async iterable, got int"),
        ({"items": len}, TypeError, "items must be an iterable or an async iterable, got "
         "builtin_function_or_method"),
        ({"ordered": 1}, TypeError, "ordered must be a bool, got int"),
        ({"retry": 3}, TypeError, r"retry must be what retry\(...\) returns, got int"),
        ({"on_error": "ignore"}, ValueError,
         "on_error must be 'raise', 'return', 'skip' or callable, got 'ignore'"),
        ({"on_error": None}, TypeError, "on_error must be callable, got NoneType"),
        ({"on_error": double}, TypeError,
         "on_error must be a plain function, got a coroutine function"),
        ({"progress": 1}, TypeError, "progress must be callable, got int"),
        ({"progress": double}, TypeError,
         "progress must be a plain function, got a coroutine function"),
        ({"buffer": -1}, ValueError, "buffer must be >= 0, got -1"),
        ({"buffer": 1.5}, TypeError, "buffer must be an int, got float"),
        ({"buffer": True}, TypeError, "buffer must be an int, got bool"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused_at_once(
    options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=f"^{message}$"):
        run(_refused(**options))


@pytest.mark.parametrize("on_error", ["raise", "skip", "return", lambda _, __: None])
def test_a_function_that_blocks_is_refused_when_it_is_called(on_error: Any) -> None:
    def triple(number: int) -> int:
        return 3 * number

    async def main() -> None:
        message = r"^fn must return an awaitable, got int from .*triple; for one that blocks: "
        with pytest.raises(TypeError, match=message):
            await map_concurrent(triple, count(), limit=2, on_error=on_error)  # type: ignore[arg-type]

    run(main())
