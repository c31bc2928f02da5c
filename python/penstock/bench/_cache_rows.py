"""The operations of a cache: get hit, get miss, in, set existing, set new + evict."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from penstock.bench._engine import Runner, SyncRunner, compile_loop, interleave
from penstock.bench._model import Contender, Outcome, Plan, Result, Row
from penstock.bench._subjects import build, each

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CACHE_ROWS", "filled"]

_TABLE: Final = "cache operations"
_COMPLETE: Final = 0.99
_VALUE: Final = "value"


@dataclass(frozen=True, slots=True)
class _Operation:
    op: str
    title: str
    keys: str
    fill: bool = True


def _keys(which: str, capacity: int) -> list[object]:
    """Return distinct str keys; one list per row, the same objects for all contenders."""
    if which == "new":
        # Twice the capacity, over and over: every one of them was evicted long ago.
        return [f"new:{i}" for i in range(2 * capacity)]
    return [f"{'none' if which == 'absent' else 'user'}:{i}" for i in range(capacity)]


def filled(
    contender: Contender, keys: Sequence[object], outcome: Outcome, **given: object
) -> object:
    """
    Build the contender's cache and store *keys* in it.

    A cache that does not keep them all (sharded or filtering admission) is noted in *outcome*,
    because its hits are then cheaper or dearer than those of the others.
    """
    namespace = build(contender, **given)
    c = namespace["c"]
    store = compile_loop(contender.ops["new"], {}, bind=contender.bind)
    store(c, keys, [], _VALUE, 1, int)
    if "hit" in contender.ops:
        found: list[object] = []
        body = f"if {contender.ops['hit']}: others.append(k)"
        count = compile_loop(body, {}, bind=contender.bind)
        count(c, keys, found, _VALUE, 1, int)
        if len(found) < _COMPLETE * len(keys):
            outcome.notes[contender.name] = f"kept {len(found):,} of {len(keys):,} keys"
    return c


def _measure(
    operation: _Operation, row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome
) -> None:
    keys = _keys(operation.keys, plan.capacity)
    stored = keys if operation.keys == "present" else _keys("present", plan.capacity)
    runners: dict[str, Runner] = {}

    def prepare(contender: Contender) -> None:
        if operation.fill:
            c = filled(contender, stored, outcome, n=plan.capacity)
        else:
            c = build(contender, n=plan.capacity)["c"]
        loop = compile_loop(
            contender.ops[operation.op],
            {},
            bind=contender.bind,
            reset="" if operation.fill else contender.reset,
        )
        runner = SyncRunner(loop, c, keys, plan.clock, value=_VALUE)
        runner(1)
        runners[contender.name] = runner

    each([c for c in contenders if operation.op in c.ops], row, outcome, prepare)
    samples = interleave(runners, rounds=plan.rounds, round_ns=plan.round_ns)
    outcome.results.append(Result(row.name, _TABLE, operation.title, "ns", samples))


def _row(name: str, summary: str, operation: _Operation) -> Row:
    return Row(f"cache.{name}", "cache", summary, partial(_measure, operation))


CACHE_ROWS: Final[tuple[Row, ...]] = (
    _row(
        "get-hit",
        "get of a present key, by the very object that was stored",
        _Operation("get", "get hit", "present"),
    ),
    _row(
        "get-hit-equal",
        "get of a present key, by an equal str that is another object",
        _Operation("get", "get hit, equal str", "equal"),
    ),
    _row("get-miss", "get of an absent key", _Operation("miss", "get miss", "absent")),
    _row("contains", "key in cache", _Operation("contains", "`in`", "present")),
    _row(
        "set-existing",
        "replace the value of a present key",
        _Operation("set", "set existing", "present"),
    ),
    _row(
        "set-new",
        "set of a new key in a full cache: one eviction each (dict: unbounded)",
        _Operation("new", "set new + evict", "new", fill=False),
    ),
)
