"""The options that `retry` and `attempts` have in common."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, TypeAlias

from penstock import _backend
from penstock.flow._budget import RetryBudget
from penstock.flow._callables import is_coroutine_function
from penstock.flow._on import check_on, matches

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.flow import _on
    from penstock.flow._retry_stats import RetryInfo

    On: TypeAlias = _on.On
    Hook: TypeAlias = Callable[[RetryInfo], object]
    Sleep: TypeAlias = Callable[[float], object]

__all__ = ["Options", "Rng"]

#: What a server may ask for by Retry-After unless the caller says otherwise; more ends the retries.
_LONGEST_RETRY_AFTER = 300.0


class Rng(Protocol):
    """What draws the delays: a `random.Random`, say."""

    def random(self) -> float:
        """Return a number from 0 to 1, 1 excluded."""
        ...


class Options:
    """Checked options; they do not change any more, so that all calls can look at the same ones."""

    __slots__ = (
        "_on", "attempts", "base", "budget", "cap", "deadline", "has_coroutine_hooks", "hooks",
        "name", "retry_after", "rng", "sleep", "timeout",
    )  # fmt: skip

    def __init__(
        self,
        attempts: int | None = 3,
        *,
        on: On = Exception,
        base: float | timedelta = 0.1,
        cap: float | timedelta = 5.0,
        timeout: float | timedelta | None = None,
        deadline: float | timedelta | None = None,
        budget: RetryBudget | None = None,
        retry_after: bool | float | timedelta = True,
        on_retry: Hook | Iterable[Hook] | None = None,
        name: str | None = None,
        sleep: Sleep | None = None,
        rng: Rng | None = None,
    ) -> None:
        self.attempts = _check_attempts(attempts)
        self._on = check_on(on)
        self.base = _check_base(base)
        self.cap = _backend.duration("cap", cap)
        self.timeout = None if timeout is None else _backend.duration("timeout", timeout)
        self.deadline = None if deadline is None else _backend.duration("deadline", deadline)
        if budget is not None and not isinstance(budget, RetryBudget):
            raise TypeError(f"budget must be a RetryBudget, got {type(budget).__name__}")
        self.budget = budget
        self.retry_after = _check_retry_after(retry_after)
        self.hooks = _check_hooks(on_retry)
        self.has_coroutine_hooks = any(map(is_coroutine_function, self.hooks))
        self.name = _check_name(name)
        if sleep is not None and not callable(sleep):
            raise TypeError(f"sleep must be callable, got {type(sleep).__name__}")
        self.sleep = sleep
        if rng is not None and not callable(getattr(rng, "random", None)):
            raise TypeError(f"rng must have a method random, got {type(rng).__name__}")
        self.rng: Rng = random if rng is None else rng

    def matches(self, error: Exception) -> bool:
        """Whether another attempt may help; what a predicate raises is passed on."""
        return matches(self._on, error)


def _check_attempts(value: int | None) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"attempts must be an int or None, got {type(value).__name__}")
    if value < 1:
        raise ValueError(f"attempts must be >= 1, got {value}")
    return value


def _check_base(value: float | timedelta) -> float:
    seconds: object = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds <= 0:
        if seconds < 0:
            raise ValueError(f"base must be >= 0, got {value!r}")
        return 0.0  # no delay at all is what tests like
    return _backend.duration("base", value)


def _check_retry_after(value: bool | float | timedelta) -> float | None:
    """Return the longest wait that may be asked for, None to not listen at all."""
    if isinstance(value, bool):
        return _LONGEST_RETRY_AFTER if value else None
    return _backend.duration("retry_after", value)


def _check_hooks(hooks: Hook | Iterable[Hook] | None) -> tuple[Hook, ...]:
    if hooks is None:
        return ()
    if callable(hooks):  # also if it can be iterated over: a mock can be anything
        return (hooks,)
    if not isinstance(hooks, Iterable):
        raise TypeError(f"on_retry must be callable, got {type(hooks).__name__}")
    several = tuple(hooks)
    for hook in several:
        if not callable(hook):
            raise TypeError(f"on_retry must be callable, got {type(hook).__name__}")
    return several


def _check_name(name: str | None) -> str | None:
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name must be a str or None, got {type(name).__name__}")
    return name
