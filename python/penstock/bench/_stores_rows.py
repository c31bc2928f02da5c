"""Stores in a file: what one task takes for a value, and how many values many tasks get or set."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from penstock.bench._crowds import TASKS, Operation
from penstock.bench._model import Row
from penstock.bench._values import of_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.bench._model import Contender, Outcome, Plan

__all__ = ["STORES_ROWS"]

_TABLES: Final = ("stores in a file, one task", f"stores in a file, {TASKS} tasks")


def _value(number: int) -> dict[str, object]:
    return {"id": number, "name": f"user number {number}", "groups": ["a", "b"], "score": 0.5}


def _measure(
    operation: Operation, row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome
) -> None:
    with tempfile.TemporaryDirectory() as folder:

        def given(number: int) -> dict[str, str]:
            return {"path": str(Path(folder) / f"{number}.store")}

        samples = of_values(operation, row, contenders, plan, outcome, _value, given)
    outcome.results.append(operation.result(row, samples, _TABLES, "values/s"))


def _row(name: str, summary: str, operation: Operation) -> Row:
    return Row(f"stores.{name}", "stores", summary, partial(_measure, operation))


STORES_ROWS: Final[tuple[Row, ...]] = (
    _row("get", "a value got by its key, by one task", Operation("get", "get")),
    _row("set", "a value set, which is committed, by one task", Operation("set", "set")),
    _row(
        "gets",
        "values got by their keys, by many tasks at once",
        Operation("get", "get", crowd=True),
    ),
    _row(
        "sets",
        "values set, each committed when its task goes on, by many tasks at once",
        Operation("set", "set", crowd=True),
    ),
)
