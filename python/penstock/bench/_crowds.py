"""What rows share in which one task does something, or a crowd does: started, timed, shown."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from penstock.bench._engine import AsyncRunner, Runner, SyncRunner, compile_loop, interleave
from penstock.bench._flow_rows import CrowdRunner, in_loop, prepared
from penstock.bench._model import Contender, Outcome, Plan, Result, Row
from penstock.bench._subjects import each

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

__all__ = ["TASKS", "TURNS", "Contest", "Operation", "Started", "contest"]

TASKS: Final = 50
TURNS: Final = 20
_ROUNDS: Final = 15
_US: Final = 1e3
_NS: Final = 1e9


@dataclass(frozen=True, slots=True)
class Operation:
    """
    One way to use what a contender starts.

    Args:
        op: Which text of the contenders is in the loop.
        title: What the table calls it.
        crowd: Whether many tasks do it at once.
        turns: How often a task does it in one pass.
        many: How many values are done with each time.
    """

    op: str
    title: str
    crowd: bool = False
    turns: int = TURNS
    many: int = 1

    def result(
        self,
        row: Row,
        samples: Mapping[str, list[float]],
        tables: tuple[str, str],
        unit: str,
        *,
        digits: int = 1,
        steady: bool = False,
    ) -> Result:
        """
        Show what one task takes in the first table, and in the second how much comes through.

        Unless *steady*, it is the operating system or a disk that decides when somebody wakes up.
        """
        together = self.crowd or self.many > 1
        figures = {
            name: [self.many * _NS / spent if together else spent / _US for spent in spans]
            for name, spans in samples.items()
        }
        unit, digits = (unit, 0) if together else ("us", digits)
        table = tables[together]
        return Result(row.name, table, self.title, unit, figures, digits=digits, steady=steady)


@dataclass(frozen=True, slots=True)
class Started:
    """A contender, what it has started, and the loops that use that."""

    contender: Contender
    subject: object
    _event_loop: AbstractEventLoop
    _plan: Plan

    def runner(
        self, operation: Operation, body: str, names: dict[str, object], *, bind: str = ""
    ) -> Runner:
        """Return the loop of an operation; each task runs *bind* first, after the contender's."""
        loop = compile_loop(body, names, bind=self.contender.bind + bind, coroutine=True)
        inner = SyncRunner(loop, self.subject, list(range(operation.turns)), self._plan.clock)
        if operation.crowd:
            return CrowdRunner(inner, self._event_loop, TASKS, self._plan)
        return AsyncRunner(inner, self._event_loop)


@dataclass(frozen=True, slots=True)
class Contest:
    """Contenders on one event loop; what they start is ended with it."""

    event_loop: AbstractEventLoop
    stack: ExitStack
    plan: Plan

    def start(self, contender: Contender, **given: object) -> Started:
        """Build a contender, which finds what is *given*, and start it."""
        made = prepared(contender, self.event_loop, seconds=0, **given)
        start, end = (cast("Callable[[], Awaitable[object]]", made[n]) for n in ("start", "end"))
        run = self.event_loop.run_until_complete
        subject = run(start())
        self.stack.callback(lambda: run(end()))
        return Started(contender, subject, self.event_loop, self.plan)

    def measure(
        self,
        operation: Operation,
        row: Row,
        contenders: Sequence[Contender],
        outcome: Outcome,
        prepare: Callable[[Contender], Runner],
    ) -> dict[str, list[float]]:
        """Have those that know the operation take turns, in what *prepare* returns for each."""
        runners: dict[str, Runner] = {}

        def add(contender: Contender) -> None:
            runner = prepare(contender)
            runner(1)
            runners[contender.name] = runner

        each([c for c in contenders if operation.op in c.ops], row, outcome, add)
        rounds = min(self.plan.rounds, _ROUNDS)
        return interleave(runners, rounds=rounds, round_ns=self.plan.round_ns)


@contextmanager
def contest(plan: Plan) -> Iterator[Contest]:
    """Give an event loop to contenders."""
    with in_loop() as event_loop, ExitStack() as stack:
        yield Contest(event_loop, stack, plan)
