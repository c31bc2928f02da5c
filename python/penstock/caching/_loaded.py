"""`Loaded`: what a loader returns that knows for how long its value is good."""

from __future__ import annotations

from datetime import timedelta
from math import inf
from typing import TYPE_CHECKING, Generic, TypeVar

from penstock import _backend

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import EllipsisType

__all__ = ["Loaded", "check_text", "tags_of"]

V_co = TypeVar("V_co", covariant=True)


class Loaded(Generic[V_co]):
    """
    A value, and how it is to be cached: a loader of a `TieredCache` may return one.

    Args:
        value: What whoever asked gets.
        ttl: Seconds (or a timedelta) that it is fresh, None for ever; left out: what the call says.
            Nothing left, 0 or less, is as good as ``cache=False``.
        tags: Its tags; left out: those of the call.
        cache: False: it is not kept at all.

    Raises:
        TypeError: The ttl is no duration, or a tag no str.
        ValueError: The ttl is not finite; a tag is no text.
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
        if _is_over(ttl):
            ttl, cache = ..., False
        self.ttl: float | EllipsisType | None = (
            ttl if ttl is ... or ttl is None else _backend.duration("ttl", ttl)
        )
        self.tags = tags if tags is ... else tags_of(tags)
        self.cache = cache

    def __repr__(self) -> str:
        return f"Loaded({self.value!r})"


def _is_over(ttl: object) -> bool:
    """Whether no time is left: what another server has said how long something is good may be 0."""
    if isinstance(ttl, timedelta):
        return ttl <= timedelta()
    return type(ttl) in {int, float} and -inf < ttl <= 0.0  # type: ignore[operator]


def tags_of(tags: Iterable[str]) -> tuple[str, ...]:
    """
    Return *tags*, each once.

    Raises:
        TypeError: It is a str, or one of them is none.
        ValueError: One of them is no text that can be encoded.
    """
    if isinstance(tags, str):
        raise TypeError(f"tags must be several str, got the str {tags!r}")
    found = tuple(dict.fromkeys(tags))
    for tag in found:
        if not isinstance(tag, str):
            raise TypeError(f"tags must be str, got {type(tag).__name__}")
        if not tag.isascii():
            check_text(tag, "tag")
    return found


def check_text(text: str, what: str) -> None:
    """
    Refuse what no store can name: a str with lone surrogates, as some file names are.

    Raises:
        ValueError: It is such a str.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{what} {text!r} is no text in UTF-8: {error.reason}") from None
