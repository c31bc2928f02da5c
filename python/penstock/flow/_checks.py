"""Checks of numbers that callers hand in; durations are checked by the backend."""

from __future__ import annotations

from math import isfinite

__all__ = ["MAX_INT", "check_int", "check_jitter", "check_name", "check_number", "check_timer"]

#: The largest number that the backend counts with.
MAX_INT = 2**63 - 1


def check_int(what: str, value: object, low: int, high: int = MAX_INT) -> int:
    """Accept an int from *low* to *high*, both included."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} must be an int, got {type(value).__name__}")
    if value < low:
        raise ValueError(f"{what} must be >= {low}, got {value}")
    if value > high:
        raise ValueError(f"{what} must be <= {high}, got {value}")
    return int(value)


def check_number(what: str, value: object) -> float:
    """Accept a finite number; its range is the caller's business."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{what} must be a number, got {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"{what} must be finite, got an int that no float can hold") from None
    if not isfinite(number):
        raise ValueError(f"{what} must be finite, got {value!r}")
    return number


def check_jitter(what: str, value: object) -> float:
    """Accept the share by which something is shortened at random: at least 0 and below 1."""
    jitter = check_number(what, value)
    if not 0.0 <= jitter < 1.0:
        raise ValueError(f"{what} must be >= 0 and < 1, got {value!r}")
    return jitter


def check_timer(timer: object) -> None:
    """Accept None or what can be called."""
    if timer is not None and not callable(timer):
        raise TypeError(f"timer must be callable, got {type(timer).__name__}")


def check_name(name: object) -> None:
    """Accept None or a text."""
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name must be a str, got {type(name).__name__}")
