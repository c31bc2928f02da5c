"""For how long an error asks to be left alone."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from math import isnan

__all__ = ["retry_after_of"]


def retry_after_of(error: BaseException) -> float | None:
    """
    Return how many seconds *error* asks to wait before another attempt.

    Its attribute ``retry_after`` is looked at first (a number, a timedelta, or what the header may
    hold), then the header ``Retry-After`` in its ``headers`` and in those of its ``response``, as
    aiohttp, httpx, requests and urllib have them: seconds, or a date.

    Returns:
        Seconds; below 0 if it asks for no further attempt at all; None if it does not say anything,
        or nothing that can be understood.
    """
    # Whatever these attributes do, the error itself must not be lost over them.
    with suppress(Exception):
        seconds = _seconds(getattr(error, "retry_after", None), None)
        if seconds is not None:
            return seconds
    with suppress(Exception):
        seconds = _in_headers(getattr(error, "headers", None))
        if seconds is not None:
            return seconds
    with suppress(Exception):
        # Not "if response": those of requests are false when their status is an error.
        return _in_headers(getattr(getattr(error, "response", None), "headers", None))
    return None


def _in_headers(headers: object) -> float | None:
    get = getattr(headers, "get", None)
    if get is None:
        return None
    value = get("Retry-After")
    if value is None:
        value = get("retry-after")  # a plain dict of a framework that writes all names like this
    return None if value is None else _seconds(value, get("Date") or get("date"))


def _seconds(value: object, date: object) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        value = value.decode("ascii")
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return _until(value, date)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    seconds = float(value)
    return None if isnan(seconds) else seconds


def _until(when: object, now: object) -> float:
    """
    Return the seconds from one HTTP date to another, 0.0 if it is past.

    The date of the same response is the better now, where there is one: the clock here may differ
    from that of the server.
    """
    try:
        start = _parse(now)
    except (TypeError, ValueError):
        start = datetime.now(UTC)
    return max(0.0, (_parse(when) - start).total_seconds())


def _parse(date: object) -> datetime:
    if not isinstance(date, str):
        raise TypeError
    parsed = parsedate_to_datetime(date)
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)
