"""Checks of what callers hand in, and its conversion to nanoseconds, sizes and weights."""

import operator
from collections.abc import Callable
from datetime import timedelta
from math import floor, isfinite
from types import EllipsisType
from typing import Final, SupportsIndex, TypeAlias

__all__ = [
    "MAX_SECONDS",
    "MAX_SIZE",
    "VERSION",
    "Seconds",
    "Ttl",
    "build_info",
    "check_callable",
    "check_epoch",
    "check_jitter",
    "check_maxsize",
    "check_name",
    "check_optional_callable",
    "check_policy",
    "check_weight",
    "duration",
    "duration_ns",
    "grace_ns",
    "optional_duration_ns",
    "read_timer",
    "to_ns",
    "type_name",
]

Seconds: TypeAlias = float | timedelta
Ttl: TypeAlias = Seconds | EllipsisType | None

#: The version of the package; a test compares it with Cargo.toml.
VERSION: Final = "0.1.0"

MAX_SECONDS: Final = 9_000_000_000
MAX_SIZE: Final = 2**63 - 1


def build_info() -> dict[str, str | bool]:
    """
    Return how this backend was built.

    Returns:
        ``version``, ``profile`` ("release" or "debug"; "pure" for the twin) and ``abi3``.
    """
    return {"version": VERSION, "profile": "pure", "abi3": False}


def duration(name: str, value: Seconds, /) -> float:
    """
    Return a duration in seconds, checked as every duration of penstock is; *name* is for the error.

    Args:
        name: What an error calls it.
        value: A number of seconds, or a timedelta.

    Raises:
        TypeError: It is neither.
        ValueError: It is not finite, not positive, or too long.
    """
    return duration_ns(value, name) / 1e9


def type_name(value: object) -> str:
    """Name the type of a value for an error message."""
    return type(value).__name__


def to_ns(seconds: float) -> int:
    """Convert seconds to the nearest nanosecond, halves upward."""
    return floor(seconds * 1e9 + 0.5)


def duration_ns(value: object, name: str) -> int:
    """Convert a number of seconds or a timedelta to at least one nanosecond."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(
            f"{name} must be a number of seconds or a timedelta, got {type_name(value)}"
        )
    if isinstance(seconds, float) and not isfinite(seconds):
        raise ValueError(f"{name} must be finite, got {value!r}")
    if seconds <= 0:
        raise ValueError(f"{name} must be > 0, got {value!r}")
    if seconds > MAX_SECONDS:
        raise ValueError(f"{name} must be <= {MAX_SECONDS} seconds, got {value!r}")
    return max(1, to_ns(seconds))


def grace_ns(value: object) -> int:
    """Convert a number of seconds, of which there may be none."""
    return 0 if value == 0 and not isinstance(value, bool) else duration_ns(value, "grace")


def check_epoch(value: object) -> int:
    """Convert the number of an epoch."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"epoch must be an int, got {type_name(value)}")
    if not -1 <= value <= MAX_SIZE:
        raise ValueError(f"epoch must be >= -1 and <= {MAX_SIZE}, got {value!r}")
    return value


def optional_duration_ns(value: object, name: str) -> int | None:
    """Convert a duration, or None."""
    return None if value is None else duration_ns(value, name)


def check_maxsize(value: object) -> int | None:
    """Convert a maxsize: None or a whole number of at least 1."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise TypeError(f"maxsize must be an int or None, got {type_name(value)}")
    size = operator.index(value)
    if size < 1:
        raise ValueError(f"maxsize must be >= 1, got {value!r}")
    if size > MAX_SIZE:
        raise ValueError(f"maxsize must be <= {MAX_SIZE}, got {value!r}")
    return int(size)


def check_weight(value: object) -> int:
    """Convert what a weigher returned."""
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise TypeError(f"weigher must return an int, got {type_name(value)}")
    weight = operator.index(value)
    if weight < 0:
        raise ValueError(f"weigher must return an int >= 0, got {value!r}")
    if weight > MAX_SIZE:
        raise ValueError(f"weigher must return an int <= {MAX_SIZE}, got {value!r}")
    return int(weight)


def check_jitter(value: object) -> float:
    """Convert a jitter: a share of the ttl, at least 0 and below 1."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"jitter must be a number, got {type_name(value)}")
    if not 0 <= value < 1:
        raise ValueError(f"jitter must be >= 0 and < 1, got {value!r}")
    return float(value)


def check_policy(value: object) -> None:
    """Accept the one policy there is."""
    if not (isinstance(value, str) and value == "lru"):
        raise ValueError(f"policy must be 'lru', got {value!r}")


def check_callable(value: object, name: str) -> None:
    """Accept what can be called."""
    if not callable(value):
        raise TypeError(f"{name} must be callable, got {type_name(value)}")


def check_optional_callable(value: object, name: str) -> None:
    """Accept None or what can be called."""
    if value is not None:
        check_callable(value, name)


def check_name(value: object) -> None:
    """Accept None or a text."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"name must be a str, got {type_name(value)}")


def read_timer(timer: Callable[[], float]) -> int:
    """Call a timer and convert its reading."""
    value: object = timer()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"timer must return a float, got {type_name(value)}")
    if not abs(value) <= MAX_SECONDS:
        raise ValueError(f"timer must return a finite number of seconds, got {value!r}")
    return to_ns(value)
