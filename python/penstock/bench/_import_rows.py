"""Import time: fresh interpreters that import one thing, taken in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.bench._memory_rows import run_child
from penstock.bench._model import Contender, Outcome, Plan, Result, Row
from penstock.bench._subjects import check_installed, each

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["IMPORT_ROWS"]

_TABLE: Final = "import, fresh interpreter"
_CHILD: Final = "import time as t\nb = t.perf_counter()\n{make}\nprint(t.perf_counter() - b)"


def _measure(row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome) -> None:
    inside: dict[str, list[float]] = {}
    whole: dict[str, list[float]] = {}

    def start(contender: Contender) -> None:
        check_installed(contender)
        begin = plan.clock()
        answer = run_child(["-c", _CHILD.format(make=contender.make)], "", contender.backend)
        whole.setdefault(contender.name, []).append((plan.clock() - begin) / 1_000_000)
        inside.setdefault(contender.name, []).append(float(answer) * 1_000)

    for _ in range(plan.starts):
        each(contenders, row, outcome, start)
    outcome.results.append(Result(row.name, _TABLE, "import", "ms", inside))
    outcome.results.append(Result(f"{row.name}.process", _TABLE, "whole process", "ms", whole))


IMPORT_ROWS: Final[tuple[Row, ...]] = (
    Row("import", "import", "milliseconds of the import alone and of the process", _measure),
)
