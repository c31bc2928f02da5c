"""What measures how long a block or a function takes."""

from collections.abc import Callable
from typing import Any, Literal, NoReturn, Self, TypeVar, final

from penstock._pure.metrics.hooks import HOOKS

__all__ = ["Timer"]

F = TypeVar("F", bound=Callable[..., Any])


@final
class Timer:
    """
    Measures the seconds that a `with` block or a decorated function takes.

    Not made by callers: ``time()`` of a metric returns it.
    """

    __slots__ = ("_clock", "_duration", "_method", "_metric", "_start")

    def __init__(
        self, metric: Any, method: Literal["observe", "set"], clock: Callable[[], int]
    ) -> None:
        self._metric = metric
        self._method: Literal["observe", "set"] = method
        self._clock = clock
        self._start: int | None = None
        self._duration: float | None = None

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("cannot pickle 'Timer' object")

    @property
    def duration(self) -> float | None:
        """
        Seconds that the last block took; None before its end.
        """
        return self._duration

    def __enter__(self) -> Self:
        """
        Start.
        """
        self._start = self._clock()
        return self

    def __exit__(self, *error: object) -> None:
        """
        Stop, and count.
        """
        if self._start is None:
            raise RuntimeError("timer was not started")
        self._duration = max(self._clock() - self._start, 0) / 1e9
        getattr(self._metric, self._method)(self._duration)

    def labels(self, *args: object, **kw: object) -> None:
        """
        Count in the series with these label values instead.

        Args:
            args, kw: As of the metric's ``labels``.
        """
        self._metric = self._metric.labels(*args, **kw)

    def __call__(self, f: F) -> F:
        wrapped: F = HOOKS.decorate(self, f)
        return wrapped

    def _new(self) -> "Timer":
        """
        A timer of the same metric.
        """
        return Timer(self._metric, self._method, self._clock)
