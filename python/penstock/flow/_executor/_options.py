"""How a task is to be run, beyond what it calls."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from penstock import _backend
from penstock.flow._checks import check_int

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from datetime import timedelta

__all__ = ["PLAIN", "Options", "judge", "merge"]

_LOWEST = -(2**63)


@dataclass(frozen=True, slots=True, eq=False)
class Options:
    """How a task is to be run; see `with_options`."""

    priority: int = 0
    deadline: float | None = None
    validate: Callable[..., object] | None = None
    key: Hashable | None = None
    retries: int = 0


#: As `submit` of the executor itself runs them.
PLAIN = Options()


def merge(
    options: Options,
    *,
    priority: int | None,
    deadline: float | timedelta | None,
    validate: Callable[..., object] | None,
    key: Hashable | None,
    retries: int | None,
) -> Options:
    """Return *options* with those changed that are not None."""
    if priority is not None:
        options = replace(options, priority=check_int("priority", priority, _LOWEST))
    if deadline is not None:
        options = replace(options, deadline=_backend.duration("deadline", deadline))
    if validate is not None:
        if not callable(validate):
            raise TypeError(f"validate must be callable, got {type(validate).__name__}")
        options = replace(options, validate=validate)
    if key is not None:
        hash(key)  # here, where the one who gave it sees the error
        options = replace(options, key=key)
    if retries is not None:
        options = replace(options, retries=check_int("retries", retries, 0))
    return options


def judge(validate: Callable[..., object], result: object) -> None:
    """
    Do nothing with a good result.

    Raises:
        ValueError: *validate* returned False. Whatever it raises itself is passed on.
    """
    # None is what a function returns that raises when something is wrong.
    if validate(result) is False:
        name = getattr(validate, "__qualname__", None) or repr(validate)
        raise ValueError(f"the result {_shown(result)} was not accepted by {name}")


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except Exception:
        return f"of type {type(value).__name__}"
    return text if len(text) <= 100 else f"{text[:97]}..."
