"""What a Redis store takes, checked, and what its keys and channels are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from penstock import _backend
from penstock.stores._codecs import Coding

if TYPE_CHECKING:
    from datetime import timedelta

    from penstock.stores._codecs import Codec
    from penstock.stores._compression import Compression

__all__ = ["Backplane", "Names", "Options", "check_options"]

Backplane = Literal["pubsub", "tracking"]
_BACKPLANES: Final = ("pubsub", "tracking", None)
#: What follows a namespace in the names of its keys.
_PARTS: Final = frozenset({"bus", "e", "l", "m", "p", "r", "t", "tags", "w", "wake"})


class Names:
    """
    The names of what a store has in Redis.

    Args:
        namespace: What all of them begin with.
        database: The number of theirs: a channel is in all of them.
    """

    __slots__ = (
        "bus",
        "entry",
        "lease",
        "namespace",
        "own",
        "pattern",
        "rules",
        "state",
        "tag",
        "tags",
        "wake",
    )

    def __init__(self, namespace: str, database: int = 0) -> None:
        self.namespace = namespace
        #: Prefixes of keys. Those of tags and patterns are touched, for who tracks them.
        self.entry = f"{namespace}:e:"
        self.lease = f"{namespace}:l:"
        self.tag = f"{namespace}:t:"
        self.pattern = f"{namespace}:p:"
        #: Keys: the clock; which patterns were invalidated, and which tags, lately and before;
        #: when was written what may have been evicted.
        self.state = f"{namespace}:m"
        self.rules = f"{namespace}:r"
        self.tags = (f"{namespace}:tags", f"{namespace}:tags:old")
        #: All of these, as the scripts want them.
        self.own = (self.state, self.rules, *self.tags, f"{namespace}:w")
        #: Channels: what was changed, and whose lease was released.
        where = f":{database}" if database else ""
        self.bus = f"{namespace}:bus{where}"
        self.wake = f"{namespace}:wake{where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """
    The settings of a store; durations in seconds.
    """

    names: Names
    timeout: float
    connect_timeout: float
    backplane: Backplane | None
    coding: Coding
    tombstone_ttl: float


def check_options(
    *,
    namespace: str,
    timeout: float | timedelta,
    connect_timeout: float | timedelta,
    backplane: Backplane | None,
    codec: Codec,
    secret: bytes | None,
    compress: Compression | None,
    max_value: int,
    tombstone_ttl: float | timedelta,
    name: str,
) -> Options:
    """
    Return the settings.

    Raises:
        TypeError: One has the wrong type.
        ValueError: One is out of its range.
    """
    for what, value in (("namespace", namespace), ("name", name)):
        if not isinstance(value, str):
            raise TypeError(f"{what} must be a str, got {type(value).__name__}")
        if not value:
            raise ValueError(f"{what} must not be empty")
    namespace.encode()
    for part in namespace.split(":")[1:]:
        if part in _PARTS:
            # Its keys would be among those of the namespace that is named by what is before it.
            text = f"no part of a namespace after a ':' may be {part!r}, got {namespace!r}"
            raise ValueError(text)
    if backplane not in _BACKPLANES:
        raise ValueError(f"backplane must be 'pubsub', 'tracking' or None, got {backplane!r}")
    return Options(
        names=Names(namespace),
        timeout=_backend.duration("timeout", timeout),
        connect_timeout=_backend.duration("connect_timeout", connect_timeout),
        backplane=backplane,
        coding=Coding(codec=codec, secret=secret, compress=compress, max_value=max_value),
        tombstone_ttl=_backend.duration("tombstone_ttl", tombstone_ttl),
    )
