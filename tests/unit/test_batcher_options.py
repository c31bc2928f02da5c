"""What `Batcher` refuses to be made with."""

from __future__ import annotations

import copy
import pickle
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from tests.batches import echo

from penstock import Batcher


class Service:
    async def method(self, items: list[int]) -> list[int]:
        return items

    async def __call__(self, items: list[int]) -> list[int]:
        return items


@pytest.mark.parametrize(
    "handler", [echo, Service(), Service().method, partial(Service.method, Service()), list]
)
def test_handlers(handler: Any) -> None:
    if handler is list:
        with pytest.raises(TypeError, match="the class list"):
            Batcher(handler)
    else:
        Batcher(handler)


@pytest.mark.parametrize("handler", [None, 3, "text", classmethod(echo)])
def test_what_is_no_handler_is_refused(handler: Any) -> None:
    with pytest.raises(TypeError):
        Batcher(handler)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_items": 0}, "max_items must be >= 1, got 0"),
        ({"max_weight": 0}, "max_weight must be >= 1, got 0"),
        ({"max_pending": 0}, "max_pending must be >= 1, got 0"),
        ({"max_concurrency": 0}, "max_concurrency must be >= 1, got 0"),
        ({"linger": -1}, "linger must be"),
        ({"linger": float("nan")}, "linger must be"),
        ({"linger": float("inf")}, "linger must be"),
        ({"item_timeout": 0}, "item_timeout must be"),
        ({"target_latency": 0}, "target_latency must be"),
        ({"on_full": "drop"}, "on_full must be one of 'wait', 'raise', .*, got 'drop'"),
    ],
)
def test_value_out_of_its_range_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Batcher(echo, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"max_items": 1.5},
        {"max_items": True},
        {"max_items": None},
        {"max_weight": "1"},
        {"max_pending": 1.0},
        {"max_concurrency": "1"},
        {"linger": "1"},
        {"linger": True},
        {"linger": None},
        {"weigher": 1},
        {"timer": 1},
        {"name": 1},
        {"item_timeout": "1"},
        {"target_latency": True},
        {"cancel_abandoned": 1},
    ],
)
def test_value_of_another_type_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(options))):
        Batcher(echo, **options)


def test_durations_may_be_timedeltas() -> None:
    for linger in (0, 0.0, timedelta(0), timedelta(milliseconds=5), 1):
        batcher = Batcher(echo, linger=linger, item_timeout=timedelta(1))
        assert batcher._options.linger == (
            linger.total_seconds() if isinstance(linger, timedelta) else linger
        )


def test_options_are_keyword_only() -> None:
    with pytest.raises(TypeError):
        Batcher(echo, 5)  # type: ignore[misc]


def test_batcher_can_neither_be_pickled_nor_copied() -> None:
    for act in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot pickle 'Batcher' object"):
            act(Batcher(echo))  # type: ignore[operator]


def test_type_can_be_written_out() -> None:
    assert Batcher[int, int](echo).pending == 0
