"""The rows of a Redis that is frozen: what is in them, what is checked, what is missing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.benching import plan
from tests.redis_servers import needs_redis

import penstock
from penstock.bench import BenchError, Contender, flow, run_rows
from penstock.bench._frozen_rows import FROZEN_ROWS
from penstock.bench._redis_server import redis_server
from penstock.bench._tiers_contenders import TIERS

if TYPE_CHECKING:
    from penstock.bench import Outcome

pytest.importorskip("hiredis")
pytestmark = needs_redis

FROZEN = [c for c in TIERS if "frozen" in c.kinds and c.backend in {None, penstock.BACKEND}]
OURS = FROZEN[0].name
CALL = """\
async def call(key, load):
    return {}
async def start():
    return call, lambda: {}
async def end():
    pass
"""


def measured(row: int, *contenders: Contender) -> Outcome:
    return run_rows(FROZEN_ROWS[row : row + 1], contenders, plan()).outcome


def test_the_first_calls_wait_for_redis_and_the_longest_is_shown() -> None:
    outcome = measured(0, *FROZEN)
    assert (outcome.failed, outcome.skipped) == ({}, {})
    (result,) = outcome.results
    assert {name: len(spans) for name, spans in result.samples.items()} == {OURS: 1}


def test_the_calls_after_those_are_held_against_the_loader() -> None:
    outcome = measured(1, *FROZEN)
    assert outcome.failed == {}
    assert [result.name for result in outcome.results] == ["tiers.open", "tiers.open.median"]
    for result in outcome.results:
        assert list(result.samples) == [OURS, "the loader alone"]


def test_a_value_that_is_not_the_loaders_is_refused() -> None:
    wrong = flow("wrong", "frozen", CALL.format("'value of user:9'", "False"), {})
    with pytest.raises(BenchError, match="'value of user:9' was found"):
        measured(1, wrong)


def test_who_never_leaves_redis_alone_is_refused() -> None:
    stubborn = flow("stubborn", "frozen", CALL.format("await load(key)", "True"), {})
    with pytest.raises(BenchError, match="20 calls waited"):
        measured(0, stubborn)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_server_stands_still_for_the_length_of_the_block() -> None:
    with redis_server() as server:
        stat = Path(f"/proc/{server.process.pid}/stat")
        with server.frozen():
            assert stat.read_text().split()[2] == "T"
        assert stat.read_text().split()[2] != "T"


def test_without_a_server_nobody_takes_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    outcome = measured(1, *FROZEN)
    assert outcome.skipped == {c.name: "there is no redis-server" for c in FROZEN}
