"""What a `WebSocketHub` is told: its options, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from penstock import _backend
from penstock.flow._callables import is_coroutine_function
from penstock.flow._checks import check_int, check_name, check_timer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta

    from penstock.pools._hub_sockets import Data

__all__ = ["HubOptions", "OnSlow", "check_close", "groups_of"]

OnSlow = Literal["drop_oldest", "drop_newest", "close"]

#: Codes that an application may send, beside those of its own from 3000 to 4999 (RFC 6455, 7.4).
_CODES = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})
#: Bytes of a reason: those of a control frame less the code.
_MAX_REASON = 123


def _optional(what: str, value: float | timedelta | None) -> float | None:
    return None if value is None else _backend.duration(what, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubOptions:
    """The options of a `WebSocketHub`, each in one form."""

    max_connections: int
    health_interval: float | None
    health_timeout: float
    idle_timeout: float | None
    queue: int
    on_slow: OnSlow
    ping: Callable[[], Data] | None
    timer: Callable[[], float] | None
    name: str | None

    @classmethod
    def checked(
        cls,
        *,
        max_connections: int,
        health_interval: float | timedelta | None,
        health_timeout: float | timedelta,
        idle_timeout: float | timedelta | None,
        queue: int,
        on_slow: OnSlow,
        ping: Callable[[], Data] | None,
        timer: Callable[[], float] | None,
        name: str | None,
    ) -> HubOptions:
        """
        Return the options, if all of them make sense.

        Raises:
            TypeError: One has the wrong type.
            ValueError: One is out of its range.
        """
        if on_slow not in get_args(OnSlow):
            known = ", ".join(map(repr, get_args(OnSlow)))
            raise ValueError(f"on_slow must be one of {known}, got {on_slow!r}")
        if ping is not None and not callable(ping):
            raise TypeError(f"ping must be callable, got {type(ping).__name__}")
        if ping is not None and is_coroutine_function(ping):
            raise TypeError("ping must be a plain function, got a coroutine function")
        check_timer(timer)
        check_name(name)
        return cls(
            max_connections=check_int("max_connections", max_connections, 1),
            health_interval=_optional("health_interval", health_interval),
            health_timeout=_backend.duration("health_timeout", health_timeout),
            idle_timeout=_optional("idle_timeout", idle_timeout),
            queue=check_int("queue", queue, 1),
            on_slow=on_slow,
            ping=ping,
            timer=timer,
            name=name,
        )


def groups_of(groups: Iterable[str]) -> tuple[str, ...]:
    """
    Return the names of groups; a str is one.

    Raises:
        TypeError: One is no str.
    """
    names = (groups,) if isinstance(groups, str) else tuple(groups)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"a group must be a str, got {type(name).__name__}")
    return names


def check_close(code: object, reason: object) -> None:
    """
    Do nothing with what may be said at a goodbye.

    Raises:
        TypeError: *code* is no int, or *reason* no str.
        ValueError: The code is none that may be sent, or the reason has more than 123 bytes.
    """
    if isinstance(code, bool) or not isinstance(code, int):
        raise TypeError(f"code must be an int, got {type(code).__name__}")
    if code not in _CODES and not 3000 <= code <= 4999:
        raise ValueError(f"code must be one that may be sent, such as 1000, got {code}")
    if not isinstance(reason, str):
        raise TypeError(f"reason must be a str, got {type(reason).__name__}")
    size = len(reason.encode())
    if size > _MAX_REASON:
        raise ValueError(f"reason must have at most {_MAX_REASON} bytes, got {size}")
