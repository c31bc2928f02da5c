"""What a `Batcher` is told: its options, checked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args

from penstock import _backend
from penstock.flow._callables import check_function, name_of
from penstock.flow._checks import MAX_INT, check_int, check_name, check_timer

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.batching._results import Handler

__all__ = ["BatcherOptions", "OnFull", "Options", "seconds_or_zero"]

OnFull = Literal["wait", "raise", "drop_oldest", "drop_newest"]


class BatcherOptions(TypedDict, total=False):
    """What a `Batcher` takes beside its handler."""

    max_items: int
    linger: float | timedelta
    max_weight: int | None
    weigher: Callable[[Any], int] | None
    max_pending: int | None
    max_concurrency: int | None
    on_full: OnFull
    item_timeout: float | timedelta | None
    target_latency: float | timedelta | None
    cancel_abandoned: bool
    timer: Callable[[], float] | None
    name: str | None


def seconds_or_zero(what: str, value: float | timedelta) -> float:
    """Accept a duration, or 0 for none."""
    seconds: object = value.total_seconds() if isinstance(value, timedelta) else value
    if type(seconds) in (int, float) and seconds == 0:
        return 0.0
    return _backend.duration(what, value)


def _optional_seconds(what: str, value: float | timedelta | None) -> float | None:
    return None if value is None else _backend.duration(what, value)


def _optional_count(what: str, value: int | None) -> int | None:
    return None if value is None else check_int(what, value, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a `Batcher`, each in one form."""

    handler: Handler
    max_items: int
    linger: float
    max_weight: int | None
    weigher: Callable[[Any], int] | None
    max_pending: int | None
    max_concurrency: int
    on_full: OnFull
    item_timeout: float | None
    target_latency: float | None
    cancel_abandoned: bool
    timer: Callable[[], float] | None
    name: str | None

    @classmethod
    def checked(
        cls,
        handler: Handler,
        *,
        max_items: int = 64,
        linger: float | timedelta = 0.005,
        max_weight: int | None = None,
        weigher: Callable[[Any], int] | None = None,
        max_pending: int | None = 10_000,
        max_concurrency: int | None = 1,
        on_full: OnFull = "wait",
        item_timeout: float | timedelta | None = None,
        target_latency: float | timedelta | None = None,
        cancel_abandoned: bool = True,
        timer: Callable[[], float] | None = None,
        name: str | None = None,
    ) -> Options:
        """
        Return the options, if all of them make sense.

        Raises:
            TypeError: One has the wrong type.
            ValueError: One is out of its range.
        """
        check_function("Batcher", handler)
        if weigher is not None and not callable(weigher):
            raise TypeError(f"weigher must be callable, got {_kind(weigher)}")
        _check_on_full(on_full)
        if not isinstance(cancel_abandoned, bool):
            raise TypeError(f"cancel_abandoned must be a bool, got {_kind(cancel_abandoned)}")
        check_timer(timer)
        check_name(name)
        return cls(
            handler=handler,
            max_items=check_int("max_items", max_items, 1),
            linger=seconds_or_zero("linger", linger),
            max_weight=_optional_count("max_weight", max_weight),
            weigher=weigher,
            max_pending=_optional_count("max_pending", max_pending),
            max_concurrency=_optional_count("max_concurrency", max_concurrency) or MAX_INT,
            on_full=on_full,
            item_timeout=_optional_seconds("item_timeout", item_timeout),
            target_latency=_optional_seconds("target_latency", target_latency),
            cancel_abandoned=cancel_abandoned,
            timer=timer,
            name=name,
        )

    @property
    def title(self) -> str:
        """How messages call the batcher."""
        return f"Batcher of {name_of(self.handler)}" if self.name is None else self.name


def _check_on_full(on_full: object) -> None:
    if on_full not in get_args(OnFull):
        known = ", ".join(map(repr, get_args(OnFull)))
        raise ValueError(f"on_full must be one of {known}, got {on_full!r}")


def _kind(value: object) -> str:
    return type(value).__name__
