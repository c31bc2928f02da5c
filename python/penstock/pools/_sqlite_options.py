"""What a pool of SQLite connections takes, checked."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from penstock import _backend
from penstock.flow._checks import check_int

if TYPE_CHECKING:
    import sqlite3

__all__ = ["OnConnect", "Options", "PathLike", "Pragmas", "Synchronous", "check_options"]

PathLike = str | os.PathLike[str]
Pragmas = Mapping[str, str | int | float]
Synchronous = Literal["OFF", "NORMAL", "FULL", "EXTRA"]
OnConnect = Callable[["sqlite3.Connection"], object]

_SYNCHRONOUS = ("OFF", "NORMAL", "FULL", "EXTRA")
_NAME = re.compile(r"[a-z_]+(\.[a-z_]+)?", re.IGNORECASE)
_WORD = re.compile(r"[\w.+-]+", re.ASCII)
#: What the pool sets itself, and where.
_OWN = {
    "busy_timeout": "busy_timeout=",
    "journal_mode": "nowhere: the pool needs WAL",
    "query_only": "nowhere: readers have it",
    "synchronous": "synchronous=",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """
    The settings of a pool; durations in seconds, None for without end.
    """

    path: str
    readers: int
    busy_timeout: float
    acquire_timeout: float | None
    inline_limit: float | None
    max_idle: float | None
    max_lifetime: float | None
    synchronous: str
    pragmas: tuple[str, ...]
    on_connect: OnConnect | None


def check_options(
    *,
    path: PathLike,
    readers: int,
    busy_timeout: float | timedelta,
    acquire_timeout: float | timedelta | None,
    inline_limit: float | timedelta | None,
    max_idle: float | timedelta | None,
    max_lifetime: float | timedelta | None,
    synchronous: str,
    pragmas: Pragmas | None,
    on_connect: OnConnect | None,
) -> Options:
    """
    Return the settings.

    Raises:
        TypeError: One has the wrong type.
        ValueError: One is out of its range; the path is that of a database in memory, or a URI.
    """
    if on_connect is not None and not callable(on_connect):
        raise TypeError(f"on_connect must be callable, got {type(on_connect).__name__}")
    return Options(
        path=_check_path(path),
        readers=check_int("readers", readers, 1, 1000),
        busy_timeout=_maybe_zero("busy_timeout", busy_timeout),
        acquire_timeout=(
            None if acquire_timeout is None else _maybe_zero("acquire_timeout", acquire_timeout)
        ),
        inline_limit=_maybe_none("inline_limit", inline_limit),
        max_idle=_maybe_none("max_idle", max_idle),
        max_lifetime=_maybe_none("max_lifetime", max_lifetime),
        synchronous=_check_synchronous(synchronous),
        pragmas=_check_pragmas(pragmas),
        on_connect=on_connect,
    )


def _check_path(path: PathLike) -> str:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a str or a path, got {type(path).__name__}")
    name: object = os.fspath(path)
    if not isinstance(name, str):
        raise TypeError(f"path must be a path of str, got one of {type(name).__name__}")
    if name in ("", ":memory:"):
        what = "each connection would have a database of its own there"
        raise ValueError(f"path must be that of a file, got {name!r}: {what}")
    if name.startswith("file:"):
        raise ValueError(f"path must be that of a file, not a URI, got {name!r}")
    if "\0" in name:
        raise ValueError(f"path must not have a null character, got {name!r}")
    return os.path.abspath(name)


def _check_synchronous(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"synchronous must be a str, got {type(value).__name__}")
    if value.upper() not in _SYNCHRONOUS:
        raise ValueError(f"synchronous must be one of {', '.join(_SYNCHRONOUS)}, got {value!r}")
    return value.upper()


def _check_pragmas(pragmas: Pragmas | None) -> tuple[str, ...]:
    """Return the statements: neither names nor values can be bound as parameters."""
    if pragmas is None:
        return ()
    if not isinstance(pragmas, Mapping):
        raise TypeError(f"pragmas must be a mapping, got {type(pragmas).__name__}")
    return tuple(_pragma(name, value) for name, value in pragmas.items())


def _pragma(name: object, value: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"pragmas must have names of str, got {type(name).__name__}")
    if not _NAME.fullmatch(name):
        raise ValueError(f"pragmas must have names of letters and '_', got {name!r}")
    if name.lower() in _OWN:
        raise ValueError(f"pragma {name} is set by the pool: {_OWN[name.lower()]}")
    if isinstance(value, bool):
        value = int(value)
    if not isinstance(value, str | int | float):
        raise TypeError(f"pragma {name} must be a str or a number, got {type(value).__name__}")
    if not _WORD.fullmatch(str(value)):
        raise ValueError(f"pragma {name} must be a word or a number, got {value!r}")
    return f"PRAGMA {name}={value}"


def _maybe_none(what: str, value: float | timedelta | None) -> float | None:
    return None if value is None else _backend.duration(what, value)


def _maybe_zero(what: str, value: float | timedelta) -> float:
    if value == timedelta() or (type(value) in (int, float) and value == 0):
        return 0.0
    return _backend.duration(what, value)
