"""The state of a circuit breaker: which calls go through, and what became of them."""

from collections.abc import Callable
from typing import Final, Literal, NamedTuple, TypeAlias

from penstock._pure.calls import Counts, CountWindow, TimeWindow

__all__ = ["Change", "Circuit", "Refusal", "Settings", "State", "Verdict"]

State: TypeAlias = Literal["closed", "open", "half_open"]
Verdict: TypeAlias = Literal["success", "failure", "ignored"]
#: From, to.
Change: TypeAlias = tuple[State, State] | None
_64_BITS: Final = 2**64 - 1


class Settings(NamedTuple):
    """When to open, for how long, and when to close again; durations in nanoseconds."""

    #: How many of the last calls are looked at; None: those of the last *length*.
    last: int | None
    length: int
    min_calls: int
    failure_rate: float
    slow_rate: float
    slow_after: int | None
    trial_calls: int
    lease: int
    open: int
    max_open: int
    jitter: float
    seed: int
    timer: Callable[[], float] | None

    def new_window(self) -> CountWindow | TimeWindow:
        """Make an empty window."""
        return TimeWindow(self.length) if self.last is None else CountWindow(self.last)

    def is_timed(self) -> bool:
        """Whether it matters when a call ended."""
        return self.last is None or self.slow_after is not None


class Lease:
    """The right of one call to go through, and to tell how it went."""

    __slots__ = ("generation", "start")

    def __init__(self, generation: int, start: int) -> None:
        #: That of the state in which it was given.
        self.generation: Final = generation
        self.start: Final = start


class Refusal(NamedTuple):
    """Why there is no lease: it is too early."""

    #: Nanoseconds until there may be one.
    wait: int


class Circuit:
    """
    The state machine of a circuit breaker; it runs under the lock.

    Each state has a generation, and a result that belongs to an older one is ignored. A trial call
    holds its place for a limited time only, so that one that never ends does not keep it half open.
    """

    __slots__ = (
        "_free", "_generation", "_last", "_leases", "_plain", "_plain_generation", "_reopened",
        "_seed", "_size", "_stale", "_state", "_successes", "_trials", "_until", "_window", "calls",
        "failures", "opened", "rejected", "settings", "slow",
    )  # fmt: skip

    def __init__(self, settings: Settings) -> None:
        self.settings: Final = settings
        self.calls = self.failures = self.slow = self.rejected = self.opened = 0
        self._state: State = "closed"
        self._generation = 1
        self._window = settings.new_window()
        self._leases: Final[dict[int, Lease]] = {}
        #: Numbers of leases that can be used again, and how many numbers there are.
        self._free: Final[list[int]] = []
        self._size = 0
        #: Calls without a lease: of this generation, and of older ones.
        self._plain = 0
        self._stale = 0
        self._plain_generation = 1
        #: The leases on trial, oldest first; replaced, never changed.
        self._trials: tuple[Lease, ...] = ()
        self._successes = 0
        #: How often in a row it opened again after a trial.
        self._reopened = 0
        self._until = 0
        self._last = 0
        self._seed = settings.seed

    def state(self, now: int) -> State:
        """Return the state; an open one whose time is over is said to be half open."""
        is_over = self._state == "open" and self._advance(now) >= self._until
        return "half_open" if is_over else self._state

    def wait(self, now: int) -> int:
        """Return the nanoseconds for which it stays open."""
        return max(self._until - self._advance(now), 0) if self._state == "open" else 0

    def window(self, now: int) -> Counts:
        """Count the calls in the window."""
        return self._window.totals(self._advance(now) if self.settings.last is None else 0)

    def begin(self, now: int) -> tuple[int | Refusal, Change]:
        """Give the number of a lease, or refuse it."""
        if self._state == "closed":
            start = 0 if self.settings.slow_after is None else self._advance(now)
            return self._give(Lease(self._generation, start)), None
        now = self._advance(now)
        change = None
        if self._state == "open":
            if now < self._until:
                self.rejected += 1
                return Refusal(self._until - now), None
            change = self._turn("half_open")
        return self._try(now), change

    def end(self, number: int, verdict: Verdict, now: int) -> Change:
        """Take back a lease, with what became of the call."""
        # Commit: no call in here.
        if number not in self._leases:
            return None
        lease = self._leases[number]
        del self._leases[number]
        self._free.append(number)
        if lease.generation != self._generation:
            return None
        if self._state == "half_open" and not self._leave_trial(lease):
            return None
        return self._record(lease.start, verdict, now)

    def begin_plain(self) -> bool:
        """Let a call through without a lease if nobody has to tell it from others."""
        # Commit: no call in here.
        if self._plain_generation != self._generation:
            self._plain_generation = self._generation
            self._stale += self._plain
            self._plain = 0
        timed = self.settings.slow_after is not None
        if self._state != "closed" or timed or self._stale:
            return False
        self._plain += 1
        return True

    def has_plain(self) -> bool:
        """Whether such a call has not ended yet."""
        return self._plain + self._stale > 0

    def end_plain(self, verdict: Verdict, now: int) -> Change:
        """Tell what became of a call without a lease."""
        # Commit: no call in here.
        if self._plain_generation != self._generation:
            self._plain_generation = self._generation
            self._stale += self._plain
            self._plain = 0
        if self._stale:
            self._stale -= 1
            return None
        if not self._plain:
            return None
        self._plain -= 1
        return self._record(0, verdict, now)

    def trip(self, length: int | None, now: int) -> Change:
        """Open for so many nanoseconds, or for as long as it would by itself."""
        self._until = self._advance(now) + (self._open_time() if length is None else length)
        return self._turn("open")

    def reset(self) -> Change:
        """Close, and forget what went wrong."""
        self._window = self.settings.new_window()
        self._reopened = 0
        return self._turn("closed")

    def _advance(self, now: int) -> int:
        """Return the time on a clock that does not go back."""
        # Commit: no call in here.
        if now > self._last:
            self._last = now
        return self._last

    def _turn(self, to: State) -> Change:
        # Commit: no call in here.
        old = self._state
        if old == to:
            return None
        self._state = to
        self._generation += 1
        self._successes = 0
        self._trials = ()
        if to == "open":
            self.opened += 1
        return old, to

    def _give(self, lease: Lease) -> int:
        """Put a lease in the place that became free last, or in a new one."""
        if self._free:
            number = self._free.pop()
        else:
            number = self._size
            self._size += 1
        self._leases[number] = lease
        return number

    def _try(self, now: int) -> int | Refusal:
        """Give a lease for a trial unless too many are out; those out for too long do not count."""
        lease = Lease(self._generation, now)
        live: tuple[Lease, ...] = ()
        longer = live
        refusal = seen = None
        while seen is not self._trials:
            seen = self._trials
            live = tuple([trial for trial in seen if trial.start + self.settings.lease > now])
            longer = (*live, lease)
            is_full = len(live) >= self.settings.trial_calls
            refusal = Refusal(live[0].start + self.settings.lease - now) if is_full else None
        # Commit: no call in here since the last look.
        if refusal is not None:
            self._trials = live
            self.rejected += 1
            return refusal
        if self._state == "half_open" and lease.generation == self._generation:
            self._trials = longer
        return self._give(lease)

    def _leave_trial(self, lease: Lease) -> bool:
        """Take back a lease on trial; False if it was out for too long."""
        rest: tuple[Lease, ...] = ()
        found = False
        seen = None
        while seen is not self._trials:
            seen = self._trials
            rest = tuple([trial for trial in seen if trial is not lease])
            found = len(rest) < len(seen)
        # Commit: no call in here since the last look.
        self._trials = rest
        return found

    def _record(self, start: int, verdict: Verdict, now: int) -> Change:
        """Count what became of a call, and conclude from it."""
        if verdict == "ignored":
            return None
        settings = self.settings
        ended = self._advance(now) if settings.is_timed() else 0
        failed = verdict == "failure"
        slow = settings.slow_after is not None and ended - start > settings.slow_after
        self.calls += 1
        self.failures += failed
        self.slow += slow
        if self._state == "closed":
            self._window.record(ended, failed=failed, slow=slow)
            return self.trip(None, now) if self._is_bad(ended) else None
        if self._state != "half_open":  # a finalizer or a signal handler was faster
            return None
        if failed or slow:
            self._reopened += 1
            return self.trip(None, now)
        self._successes += 1
        return self.reset() if self._successes >= settings.trial_calls else None

    def _is_bad(self, now: int) -> bool:
        """Whether too many calls of the window failed or were slow."""
        settings = self.settings
        calls, failures, slow = self._window.totals(now)
        if calls < settings.min_calls:
            return False
        of = max(calls, 1)
        slowing = settings.slow_after is not None and slow / of >= settings.slow_rate
        return failures / of >= settings.failure_rate or slowing

    def _open_time(self) -> int:
        settings = self.settings
        time = min(settings.open << min(self._reopened, 64), settings.max_open)
        if settings.jitter <= 0.0:
            return time
        factor = 1.0 - settings.jitter + 2.0 * settings.jitter * self._random()
        return int(float(time) * factor)

    def _random(self) -> float:
        """
        Return a number in 0..1.

        Source: splitmix64 by S. Vigna.
        """
        self._seed = seed = (self._seed + 0x9E3779B97F4A7C15) & _64_BITS
        mixed = (seed ^ seed >> 30) * 0xBF58476D1CE4E5B9 & _64_BITS
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _64_BITS
        return ((mixed ^ mixed >> 31) >> 11) * 2.0**-53
