"""Whatever happens to a batcher in whatever order: what was accepted is resolved, once."""

from __future__ import annotations

import pytest
from tests.batch_programs import play

PROGRAMS = 300


@pytest.mark.parametrize("first", range(0, PROGRAMS, 100))
def test_accepted_is_resolved(first: int) -> None:
    play(first, 100)
