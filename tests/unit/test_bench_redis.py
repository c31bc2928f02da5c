"""The rows of caches over Redis: what is in the loop, what is checked, what is missing."""

from __future__ import annotations

import shutil

import pytest
from tests.benching import SUFFIX, plan
from tests.redis_servers import needs_redis

from penstock.bench import flow, run_rows
from penstock.bench._redis_contenders import REDIS, REDIS_OPS
from penstock.bench._redis_rows import REDIS_ROWS

pytest.importorskip("hiredis")
pytestmark = needs_redis

OURS = [c for c in REDIS if c.name == f"penstock TieredCache{SUFFIX}"]
DICT = """\
kept = {}
async def start():
    async def get(key):
        return kept[key]
    async def put(key, value):
        kept[key] = value
    return get, put
async def end():
    pass
"""


@pytest.mark.parametrize("row", REDIS_ROWS, ids=lambda row: row.name)
def test_penstock_takes_part(row: object) -> None:
    outcome = run_rows([row], OURS, plan()).outcome  # type: ignore[list-item]
    assert outcome.failed == {}
    (result,) = outcome.results
    assert len(result.samples) == 1


def test_a_value_that_is_not_the_one_asked_for_is_refused() -> None:
    wrong = DICT.replace("return kept[key]", "return b'user number 3 '")
    subject = flow("wrong", "redis", wrong, REDIS_OPS, bind="get, put = c")
    (failure,) = run_rows(REDIS_ROWS[:1], [subject], plan()).outcome.failed.values()
    assert failure.startswith("ExceptionGroup")


def test_values_that_were_not_set_are_missed() -> None:
    lazy = DICT.replace("kept[key] = value", "kept.setdefault(key, value)").replace(
        "return get, put", "return get, put, kept.clear"
    )
    ops = {**REDIS_OPS, "sets": "forget()"}
    subject = flow("lazy", "redis", lazy, ops, bind="get, put, forget = c")
    with pytest.raises(ExceptionGroup) as caught:
        run_rows(REDIS_ROWS[3:], [subject], plan())
    assert caught.group_contains(KeyError)


def test_without_a_server_nobody_takes_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    outcome = run_rows(REDIS_ROWS[:1], OURS, plan()).outcome
    assert outcome.skipped == {OURS[0].name: "there is no redis-server"}
