"""`Loaded`: what a loader returns that knows for how long its value is good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from penstock import _backend

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta
    from types import EllipsisType

__all__ = ["Loaded", "tags_of"]

V_co = TypeVar("V_co", covariant=True)


class Loaded(Generic[V_co]):
    """
    A value, and how it is to be cached: a loader of a `TieredCache` may return one.

    Args:
        value: What whoever asked gets.
        ttl: Seconds (or a timedelta) that it is fresh, None for ever; left out: what the call says.
        tags: Its tags; left out: those of the call.
        cache: False: it is not kept at all.

    Raises:
        TypeError: The ttl is no duration, or a tag no str.
        ValueError: The ttl is not positive and finite.
    """

    __slots__ = ("cache", "tags", "ttl", "value")

    def __init__(
        self,
        value: V_co,
        *,
        ttl: float | timedelta | EllipsisType | None = ...,
        tags: Iterable[str] | EllipsisType = ...,
        cache: bool = True,
    ) -> None:
        self.value = value
        self.ttl: float | EllipsisType | None = (
            ttl if ttl is ... or ttl is None else _backend.duration("ttl", ttl)
        )
        self.tags = tags if tags is ... else tags_of(tags)
        self.cache = cache

    def __repr__(self) -> str:
        return f"Loaded({self.value!r})"


def tags_of(tags: Iterable[str]) -> tuple[str, ...]:
    """
    Return *tags*, each once.

    Raises:
        TypeError: It is a str, or one of them is none.
    """
    if isinstance(tags, str):
        raise TypeError(f"tags must be several str, got the str {tags!r}")
    found = tuple(dict.fromkeys(tags))
    for tag in found:
        if not isinstance(tag, str):
            raise TypeError(f"tags must be str, got {type(tag).__name__}")
    return found
