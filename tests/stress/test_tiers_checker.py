"""
Several processes use one cache at random while things go wrong; what they read has to be true.

What that means is in docs/tiers.md: after an acknowledged write, delete or invalidation nobody
reads what is older, once he can have been told; a process sees its own at once. PENSTOCK_SEED
gives other operations; the timing of processes is another one each time.
"""

from __future__ import annotations

import asyncio
import os
from math import ceil
from pathlib import Path

import pytest
from tests.redis_servers import needs_redis
from tests.stress.harness import rounds
from tests.stress.tiers_crew import Arrangement, hired
from tests.stress.tiers_liars import LIARS

pytest.importorskip("hiredis")

pytestmark = pytest.mark.timeout(60 + 10 * rounds(1))

_OPTIONS = {"ttl": 60.0, "lease": 1.0}
_ALONE = {**_OPTIONS, "l1": None}

WITH_REDIS = {
    "redis": Arrangement(options=_ALONE, bound=0.0),
    "redis-memory": Arrangement(options=_OPTIONS),
    "redis-tracking": Arrangement(options=_OPTIONS, backplane="tracking"),
    "redis-sqlite": Arrangement(options=_OPTIONS, sqlite=True),
}
WITHOUT = {
    "sqlite": Arrangement(redis=False, sqlite=True, options=_ALONE, bound=0.0),
    # What L1 keeps, plus a processor that has others to serve.
    "sqlite-memory": Arrangement(
        redis=False, sqlite=True, options={**_OPTIONS, "l1_ttl": 0.1}, bound=0.1 + 2.0
    ),
}

#: Enough to see whether it works at all; the others wait for PENSTOCK_STRESS.
_SHORT = {"redis-memory", "redis-sqlite", "sqlite"}


def named(arrangements: dict[str, Arrangement]) -> list[str]:
    return [name for name in arrangements if rounds(1) > 1 or name in _SHORT]


def check(arrangement: Arrangement, folder: Path, *, faults: int = 3) -> list[str]:
    """Let a crew work; return what it did that cannot be, and what was done to it."""
    seed = int(os.environ.get("PENSTOCK_SEED", "1"))

    async def main() -> list[str]:
        async with hired(arrangement, folder, seed) as crew:
            for _ in range(ceil(rounds(1) / 3)):
                await crew.round(faults)
            await crew.finish()
            problems = crew.problems()
            return [f"PENSTOCK_SEED={seed}", *crew.events, *problems[:20]] if problems else []

    return asyncio.run(main())


@needs_redis
@pytest.mark.parametrize("name", named(WITH_REDIS))
def test_what_is_read_over_redis_is_true(name: str, tmp_path: Path) -> None:
    problems = check(WITH_REDIS[name], tmp_path)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("name", named(WITHOUT))
def test_what_is_read_over_a_file_is_true(name: str, tmp_path: Path) -> None:
    problems = check(WITHOUT[name], tmp_path)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("wrong", LIARS)
def test_what_is_not_true_is_noticed(wrong: str, tmp_path: Path) -> None:
    arrangement = Arrangement(redis=False, sqlite=True, options=_ALONE, bound=0.0, wrong=wrong)
    assert check(arrangement, tmp_path, faults=0)
