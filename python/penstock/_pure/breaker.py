"""Calls go through while few of them fail, then none, then some on trial."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final, NoReturn, Self, cast

from penstock._pure.circuit import Change, Circuit, Refusal, Settings, State, Verdict
from penstock._pure.convert import Seconds, duration_ns, to_ns
from penstock._pure.holders import LOCK, Holdings, current_holder, done, read_clock

__all__ = ["Breaker"]

_VERDICTS: Final = ("success", "failure", "ignored")


class Breaker:
    """
    Calls go through while few of them fail, then none, then some on trial.

    Subclassed by what is public: the subclass raises what tells of a refusal.
    """

    __slots__ = ("_blocks", "_core")

    #: There once it is initialised.
    _core: Circuit | None
    #: The leases of the `with` blocks that are being run.
    #:
    #: Blocks need no lease while all is well: finding out who runs them costs more than the rest.
    _blocks: Holdings[int]

    if TYPE_CHECKING:  # methods of the subclass

        def _refuse(self, retry_after: float) -> int: ...
        def _outcome(self, error: BaseException | None) -> Verdict: ...
        def _changed(self, old: State, new: State) -> None: ...

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        self = super().__new__(cls)
        self._core = None
        self._blocks = Holdings()
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def _init(
        self,
        *,
        count: int | None,
        seconds: float | None,
        min_calls: int,
        failure_rate: float,
        slow_rate: float,
        slow_after: float | None,
        trial_calls: int,
        lease: float,
        open_seconds: float,
        max_open_seconds: float,
        jitter: float,
        seed: int,
        timer: Callable[[], float] | None = None,
    ) -> None:
        settings = Settings(
            last=count,
            length=to_ns(seconds or 0.0),
            min_calls=min_calls,
            failure_rate=failure_rate,
            slow_rate=slow_rate,
            slow_after=None if slow_after is None else to_ns(slow_after),
            trial_calls=trial_calls,
            lease=to_ns(lease),
            open=to_ns(open_seconds),
            max_open=to_ns(max_open_seconds),
            jitter=jitter,
            seed=seed,
            timer=timer,
        )
        self._core = Circuit(settings)

    @property
    def state(self) -> State:
        """
        "closed", "open" or "half_open".
        """
        core, now = _ready(self)
        with LOCK:
            return core.state(now)

    @property
    def retry_after(self) -> float:
        """
        Seconds until a call may go through again.
        """
        core, now = _ready(self)
        with LOCK:
            return core.wait(now) / 1e9

    def trip(self, seconds: Seconds | None = None) -> None:
        """
        Open now, for *seconds* or for as long as it would by itself.

        Args:
            seconds: A number of seconds or a timedelta.

        Raises:
            TypeError: It is neither.
            ValueError: It is not finite, not positive, or too long.
        """
        length = None if seconds is None else duration_ns(seconds, "seconds")
        core, now = _ready(self)
        with LOCK:
            change = core.trip(length, now)
        _tell(self, change)

    def reset(self) -> None:
        """
        Close now, and forget what went wrong.
        """
        core, _ = _ready(self)
        with LOCK:
            change = core.reset()
        _tell(self, change)

    def __enter__(self) -> None:
        """
        Ask whether the block may run.
        """
        _enter(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """
        Report how the block went.
        """
        _exit(self, kind, error)

    def __aenter__(self) -> Awaitable[None]:
        """
        Ask whether the block may run.
        """
        _enter(self)
        return done()

    def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Awaitable[None]:
        """
        Report how the block went.
        """
        _exit(self, kind, error)
        return done()

    def _begin(self) -> int:
        """
        Ask whether a call may go through: a lease for it, or whatever `_refuse` does.
        """
        given = _ask(self)
        return self._refuse(given.wait / 1e9) if isinstance(given, Refusal) else given

    def _end(self, lease: int, outcome: Verdict) -> None:
        """
        Report how the call under *lease* went: "success", "failure" or "ignored".
        """
        _end(self, lease, _check_verdict(outcome))

    def _stats(self) -> tuple[State, int, int, int, int, int, int, int, int]:
        core, now = _ready(self)
        with LOCK:
            calls, failures, slow = core.window(now)
            return (
                core.state(now),
                core.calls,
                core.failures,
                core.slow,
                calls,
                failures,
                slow,
                core.rejected,
                core.opened,
            )


# Functions, since a subclass may have methods of any name.


def _ready(breaker: Breaker) -> tuple[Circuit, int]:
    """Return the state and the time; the first step of every use."""
    core = breaker._core
    if core is None:
        raise RuntimeError("circuit breaker is not initialised")
    return core, read_clock(core.settings.timer)


def _tell(breaker: Breaker, change: Change) -> None:
    """Tell the subclass of a change of state; without the lock."""
    if change is not None:
        breaker._changed(*change)


def _ask(breaker: Breaker) -> int | Refusal:
    """Return a lease, or why there is none."""
    core, now = _ready(breaker)
    with LOCK:
        given, change = core.begin(now)
    try:
        _tell(breaker, change)
    except BaseException:
        if not isinstance(given, Refusal):
            _end(breaker, given, "ignored")
        raise
    return given


def _end(breaker: Breaker, lease: int, verdict: Verdict) -> None:
    core, now = _ready(breaker)
    with LOCK:
        change = core.end(lease, verdict, now)
    _tell(breaker, change)


def _enter(breaker: Breaker) -> None:
    """Begin a block."""
    core, _ = _ready(breaker)
    with LOCK:
        if core.begin_plain():
            return
    holder = current_holder()
    given = _ask(breaker)
    if isinstance(given, Refusal):
        breaker._refuse(given.wait / 1e9)
        raise RuntimeError("_refuse() did not raise")  # noqa: TRY004  # no type is wrong
    with LOCK:
        breaker._blocks.add(holder, given)


def _exit(breaker: Breaker, kind: type[BaseException] | None, error: BaseException | None) -> None:
    """
    Report how a block went, whatever comes of the question how it did.

    A block can be left by somebody else: the first one ends when there is no other to end.
    """
    holder, core = current_holder(), breaker._core
    with LOCK:
        lease = breaker._blocks.take(holder)
        if lease is None and not (core is not None and core.has_plain()):
            lease = breaker._blocks.take_first()
    now = 0
    try:
        try:
            verdict = "success" if kind is None else _check_verdict(breaker._outcome(error))
        finally:
            _, now = _ready(breaker)
    except BaseException:
        with suppress(BaseException):
            _end_block(breaker, lease, "ignored", now)
        raise
    _end_block(breaker, lease, verdict, now)


def _end_block(breaker: Breaker, lease: int | None, verdict: Verdict, now: int) -> None:
    core = breaker._core
    if core is None:
        return
    with LOCK:
        change = core.end_plain(verdict, now) if lease is None else core.end(lease, verdict, now)
    _tell(breaker, change)


def _check_verdict(value: object) -> Verdict:
    if not isinstance(value, str) or value not in _VERDICTS:
        raise ValueError(f"outcome must be 'success', 'failure' or 'ignored', got {value!r}")
    return cast("Verdict", value)
