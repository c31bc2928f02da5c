"""Values by their keys: got, set and looked at, whatever it is that keeps them."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final

from penstock.bench._crowds import TASKS, TURNS, Operation, contest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from penstock.bench._engine import Runner
    from penstock.bench._model import Contender, Outcome, Plan, Row

__all__ = ["KEYS", "of_values"]

#: Each task has keys of its own: what many ask for at once would be read once.
KEYS: Final = TASKS * TURNS
_BIND: Final = f"\nat = next(turn) * {TURNS} % {KEYS}"
_BODIES: Final = {
    "get": "key = keys_of[at + k]\n{}\nassert found == values[at + k], f'{{found!r}} was read'",
    "set": "key, value = keys_of[at + k], values[at + k]\n{}",
    "sets": "{}",
}
_FILL: Final = Operation("set", "", crowd=True)
_LOOK: Final = Operation("get", "", crowd=True)


def of_values(
    operation: Operation,
    row: Row,
    contenders: Sequence[Contender],
    plan: Plan,
    outcome: Outcome,
    value: Callable[[int], object],
    given: Callable[[int], Mapping[str, object]],
) -> dict[str, list[float]]:
    """
    Measure what gets or sets values; all of them are there, and looked at before and after.

    What is under a key is value(number of the key), what a contender finds given(its number).
    """
    numbers = count()
    keys = [f"user:{number}" for number in range(KEYS)]
    values = [value(number) for number in range(KEYS)]
    items = list(zip(keys, values, strict=True))
    names = {"keys_of": keys, "values": values, "items": items, "gather": asyncio.gather}
    looks: list[Callable[[], object]] = []
    with contest(plan) as those:

        def prepare(contender: Contender) -> Runner:
            started = those.start(contender, **given(next(numbers)))
            fill, look, runner = (
                started.runner(
                    each,
                    _BODIES[each.op].format(contender.ops[each.op]),
                    {**names, "turn": count()},
                    bind=_BIND,
                )
                for each in (_FILL, _LOOK, operation)
            )
            fill(1)
            look(1)
            looks.append(partial(look, 1))
            return runner

        samples = those.measure(operation, row, contenders, outcome, prepare)
        for look in looks:
            look()
    return samples
