"""The rows of batching: what is in the loop, what is checked, what is claimed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.benching import SUFFIX, ours, plan

from penstock.bench import BUILTIN, Outcome, Result, flow, run_rows
from penstock.bench._batching_rows import CountingLoop, Sink
from penstock.bench._rows import ROWS, choose

if TYPE_CHECKING:
    from penstock.bench import Plan

BENCHES = Path(__file__).parents[2] / "benches"
KINDS = ("batcher", "loader", "queue", "burst", "sink")
NAMES = [row.name for row in ROWS if row.kind in KINDS]


def small() -> Plan:
    return plan(gathered=8)


@pytest.mark.parametrize("name", NAMES)
def test_penstock_takes_part_in_every_row(name: str) -> None:
    (row,) = choose([name])
    run = run_rows([row], ours(row.kind), small())
    assert run.outcome.failed == {}
    (result,) = run.outcome.results
    what = "Loader" if row.kind == "loader" else "Batcher"
    assert set(result.samples) == {f"penstock {what}{SUFFIX}"}
    assert result.samples


@pytest.mark.parametrize("name", NAMES)
def test_so_does_what_one_would_write_by_hand(name: str) -> None:
    (row,) = choose([name])
    theirs = [c for c in BUILTIN if row.kind in c.kinds and c.backend is None]
    run = run_rows([row], theirs, small())
    assert run.outcome.failed == {}
    assert set(run.outcome.results[0].samples) == {c.name for c in theirs}
    assert theirs or row.kind == "loader"


def test_time_is_shared_among_the_items() -> None:
    for name, kind in (("batching.submit", "batcher"), ("batching.load", "loader")):
        run = run_rows(choose([name]), ours(kind), small())
        (result,) = run.outcome.results
        (samples,) = result.samples.values()
        assert samples == [pytest.approx(1 / 8 / 1000)] * 2  # a tick, eight items
        assert (result.unit, result.table) == (
            "us",
            "batching gathered: 8 items handed in at once, per item",
        )


def test_messages_are_measured_as_a_whole_in_milliseconds() -> None:
    run = run_rows(choose(["batching.sqlite"]), ours("sink"), small())
    (result,) = run.outcome.results
    (samples,) = result.samples.values()
    assert samples == [1e-6, 1e-6]
    assert (result.unit, result.table) == ("ms", "batching into SQLite: 8 messages, each awaited")


@pytest.mark.parametrize("name", ["batching.submit", "batching.load", "batching.sqlite"])
def test_results_that_are_missing_or_in_another_order_are_refused(name: str) -> None:
    (row,) = choose([name])
    op = {"batcher": "gather", "loader": "load", "sink": "send"}[row.kind]
    for found, message in (
        ("items[:-1]", "7 of 8 items came back in order"),
        ("items[::-1]", "8 of 8 items came back in order"),
    ):
        wrong = flow("wrong", row.kind, "c = None", {op: f"found = {found}"})
        run = run_rows([row], [wrong], small())
        (failure,) = run.outcome.failed.values()
        assert failure == f"AssertionError: {message}"


def test_messages_that_were_not_written_are_noticed() -> None:
    (row,) = choose(["batching.sqlite"])
    make = "async def c():\n    await write(items[1:])\n    return items"
    wrong = flow("wrong", "sink", make, {"send": "found = await c()"})
    with pytest.raises(Exception, match="wrong did not write every message once"):
        run_rows([row], [wrong], small())


def test_items_that_a_burst_loses_are_noticed() -> None:
    (row,) = choose(["batching.wakeups"])
    make = "def put(item):\n    pass\nasync def end():\n    pass"
    run = run_rows([row], [flow("wrong", "burst", make, {})], small())
    (failure,) = run.outcome.failed.values()
    assert failure == "BenchError: 0 of 8 items were handled"


def test_a_counting_loop_counts_what_comes_from_threads() -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CountingLoop)
        seen: list[int] = []
        before = loop.wakeups
        loop.call_soon_threadsafe(seen.append, 1)
        loop.call_soon(seen.append, 2)
        await asyncio.sleep(0)
        assert loop.wakeups == before + 1
        return seen

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        assert runner.run(main()) == [1, 2]


def test_a_sink_commits_what_it_is_given(tmp_path: Path) -> None:
    async def main() -> None:
        sink = Sink(tmp_path / "a.db")
        try:
            assert await sink.write([3, 1]) == [3, 1]
            assert sink.count() == 2
            with pytest.raises(Exception, match="binding"):
                await sink.write([1, []])  # type: ignore[list-item]
            assert sink.count() == 2
            assert await sink.write([5]) == [5]
            assert sink.count() == 3
        finally:
            sink.close()

    asyncio.run(main())


# what is claimed


@pytest.mark.parametrize(
    ("row", "samples", "measured", "met"),
    [
        ("batching.submit", {"penstock Batcher": 10, "aiodataloader": 10}, "1.00 x", True),
        ("batching.submit", {"penstock Batcher": 11, "aiodataloader": 10}, "1.10 x", False),
        ("batching.submit", {"penstock Batcher": 3, "async-batcher": 10}, "0.30 x", True),
        ("batching.submit", {"penstock Batcher": 4, "async-batcher": 10}, "0.40 x", False),
        ("batching.load", {"penstock Loader": 11, "aiodataloader": 10}, "1.10 x", False),
        ("batching.put", {"penstock Batcher": 30, "deque.append": 10}, "3.00 x", True),
        ("batching.put", {"penstock Batcher": 31, "deque.append": 10}, "3.10 x", False),
        ("batching.wakeups", {"penstock Batcher": 1}, "1", True),
        ("batching.wakeups", {"penstock Batcher": 2}, "2", False),
        ("batching.sqlite", {"penstock Batcher": 10, "one commit for each": 50}, "5.00 x", True),
        ("batching.sqlite", {"penstock Batcher": 10, "one commit for each": 49}, "4.90 x", False),
    ],
)
def test_goals_of_batching_read_their_rows(
    monkeypatch: pytest.MonkeyPatch,
    row: str,
    samples: dict[str, float],
    measured: str,
    met: bool,
) -> None:
    monkeypatch.syspath_prepend(str(BENCHES))
    import goals

    result = Result(row, "t", "t", "ns", {name: [value] for name, value in samples.items()})
    found = [v for v in goals.judge(Outcome([result])) if v.measured is not None]
    assert [(v.measured, v.met) for v in found] == [(measured, met)]


def test_every_peer_of_batching_fits_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHES))
    from batching_peers import BATCHING_PEERS

    for peer in BATCHING_PEERS:
        assert peer.kinds <= set(KINDS)
        assert peer.needs is not None
        assert peer.ops
