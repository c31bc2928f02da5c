"""Ten thousand random programs for a batcher, on both backends: what was accepted is resolved."""

from __future__ import annotations

import logging
import os

from tests.stress.harness import cases, in_child

PROGRAMS = 10_000
#: For each child.
SHARE = 2_000

ONLY_PURE = os.environ.get("PENSTOCK_PURE", "") not in {"", "0"}


@in_child
@cases("backend", ["pure"] if ONLY_PURE else ["native", "pure"])
@cases("first", range(0, PROGRAMS, SHARE))
def test_accepted_is_resolved_in_ten_thousand_programs(backend: str, first: int) -> None:
    os.environ["PENSTOCK_PURE"] = str(int(backend == "pure"))
    logging.disable()  # what was given up is told
    import penstock

    assert backend == penstock.BACKEND
    from tests.batch_programs import play

    play(first, SHARE)
