"""The row of two processes with a cache each: what counts as noticed, what is missing."""

from __future__ import annotations

import asyncio
import shutil
from types import SimpleNamespace
from typing import Any

import pytest
from tests.benching import plan
from tests.redis_servers import needs_redis
from tests.steps import run

import penstock
from penstock.bench import _told_rows as told
from penstock.bench import flow, run_rows
from penstock.bench._tiers_contenders import TIERS

pytest.importorskip("hiredis")
pytestmark = needs_redis

OURS = [c for c in TIERS if "told" in c.kinds and c.backend == penstock.BACKEND]
FULL = """\
async def keep(key):
    raise ValueError("no room")
async def start():
    return keep, keep
async def end():
    pass
"""


def test_each_delete_is_timed_in_two_processes() -> None:
    outcome = run_rows(told.TOLD_ROWS, OURS, plan()).outcome
    assert (outcome.failed, outcome.skipped) == ({}, {})
    late, each_one = outcome.results
    spans = each_one.samples[OURS[0].name]
    assert len(spans) == 16
    assert late.samples[OURS[0].name] == [max(spans)]
    assert min(spans) > 0


def test_what_has_left_before_or_is_another_key_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        lines = asyncio.StreamReader()
        asked: list[bytes] = []

        async def tell(key: str) -> None:
            lines.feed_data(b"user:0 3000000\nuser:1 9000000\nuser:0 7000000\n")

        child: Any = SimpleNamespace(stdin=SimpleNamespace(write=asked.append), stdout=lines)
        monkeypatch.setattr(told, "monotonic_ns", lambda: 5_000_000)
        lines.feed_data(b"user:0 1000000\n\n")
        assert await told._Pair(child, tell).time() == 2.0
        assert asked == [b"user:0\n"]

    run(main())


def test_another_process_that_fails_says_why() -> None:
    outcome = run_rows(told.TOLD_ROWS, [flow("full", "told", FULL, {})], plan()).outcome
    assert outcome.failed == {"full (tiers.told)": "RuntimeError: ValueError: no room"}


def test_without_a_server_nobody_takes_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    outcome = run_rows(told.TOLD_ROWS, OURS, plan()).outcome
    assert outcome.skipped == {OURS[0].name: "there is no redis-server"}
