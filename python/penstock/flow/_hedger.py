"""A hedged function: what becomes of its calls."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from penstock import _components
from penstock.flow._deadline import ambient
from penstock.flow._families import HEDGE_FIELDS
from penstock.flow._hedge_race import Race, note_others

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from penstock.flow._hedge_delay import Delay
    from penstock.flow._retry_options import Options

__all__ = ["HedgeStats", "Hedger"]


@dataclass(frozen=True, slots=True)
class HedgeStats:
    """
    What has become of the calls of a hedged function.

    Attributes:
        calls: Calls that have ended.
        failures: Of these, that raised an exception.
        cancelled: That were cancelled, or ended by another exception that is no `Exception`.
        extra: Calls that were made beside the first ones.
        won: Calls whose answer came from an extra one.
        out_of_budget: Extra calls that were not made, because the budget was exhausted.
        delay: Seconds after which an extra one is made now; None while that is being found out.
    """

    calls: int = 0
    failures: int = 0
    cancelled: int = 0
    extra: int = 0
    won: int = 0
    out_of_budget: int = 0
    delay: float | None = None


class Hedger:
    """
    Makes the calls of a hedged function, and counts them.
    """

    __slots__ = (
        "__weakref__", "_calls", "_cancelled", "_delay", "_extra", "_failures", "_function",
        "_label", "_most", "_options", "_out_of_budget", "_won", "name",
    )  # fmt: skip

    def __init__(
        self,
        function: Callable[..., Awaitable[object]],
        delay: Delay,
        extra: int,
        options: Options,
        label: str,
    ) -> None:
        self.name = options.name
        self._function = function
        self._delay = delay
        self._most = extra
        self._options = options
        self._label = label
        self._calls = self._failures = self._cancelled = 0
        self._extra = self._won = self._out_of_budget = 0
        _components.enter(self)

    def stats(self) -> HedgeStats:
        """
        Return what has become of the calls so far.
        """
        return HedgeStats(
            calls=self._calls,
            failures=self._failures,
            cancelled=self._cancelled,
            extra=self._extra,
            won=self._won,
            out_of_budget=self._out_of_budget,
            delay=self._delay.seconds,
        )

    async def call(self, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Return the first answer, when all calls have ended."""
        try:
            return await self._race(partial(self._function, *args, **kwargs))
        except Exception:
            self._failures += 1
            raise
        except BaseException:
            self._cancelled += 1
            raise
        finally:
            self._calls += 1

    async def _race(self, call: Callable[[], Awaitable[object]]) -> object:
        due = ambient()
        if due is not None and due.remaining() <= 0.0:
            raise due.error()
        if self._options.budget is not None:
            self._options.budget.deposit()
        race = Race(call, self._may_start, self._options.matches)
        try:
            winner = await race.run(self._delay.seconds, self._most, due)
        except Exception as error:
            if len(race.errors) > 1 and error is race.errors[0]:
                note_others(race.errors, self._label)
            raise
        finally:
            race.errors.clear()  # this frame is in their tracebacks
            await race.close()
        if race.seconds is not None:
            self._delay.observe(race.seconds)
        self._won += not race.is_won_by_first
        return winner.result()

    def _may_start(self) -> bool:
        """Take an extra call out of the budget."""
        budget = self._options.budget
        if budget is None or budget.try_withdraw():
            self._extra += 1
            return True
        self._out_of_budget += 1
        return False


_components.describe("hedge", HedgeStats, HEDGE_FIELDS)
