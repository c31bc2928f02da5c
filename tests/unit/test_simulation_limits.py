"""What is claimed of the limits that adapt, in front of the simulated service; and its picture."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

import penstock
import penstock.flow
from penstock.bench import Outcome, Plan, Result, run_rows
from penstock.bench._rows import choose
from penstock.bench._simulation import Phase, Scenario, simulate
from penstock.bench._simulation_limits import (
    ADAPTIVE,
    FIXED,
    LIMITS,
    Findings,
    best_fixed,
    explore,
    maker,
    table,
    verdicts,
)
from penstock.bench._simulation_plot import plot

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"
POLICIES: dict[str, Callable[..., penstock.flow.Policy]] = {
    "aimd": lambda **options: penstock.flow.aimd(0.2, **options),
    "gradient": penstock.flow.gradient,
}


@pytest.fixture(scope="module")
def found() -> Findings:
    return explore()


# what is claimed


@pytest.mark.parametrize("name", ADAPTIVE)
def test_from_a_cold_start_throughput_is_within_a_tenth_of_the_best_fixed_limit(
    found: Findings, name: str
) -> None:
    assert found.steady[name].limits[0] == (0.0, 10)
    assert found.steady[name].throughput(10, 30) >= 0.9 * best_fixed(1).throughput


@pytest.mark.parametrize("name", ADAPTIVE)
def test_p95_is_within_one_and_a_half_times_that_of_the_best_fixed_limit(
    found: Findings, name: str
) -> None:
    assert found.steady[name].p95(10, 30) <= 1.5 * best_fixed(1).p95


@pytest.mark.parametrize("name", ADAPTIVE)
def test_when_the_service_slows_to_a_third_more_is_served_than_with_a_limit_of_50(
    found: Findings, name: str
) -> None:
    fixed, ours = (found.slow[which].throughput(20, 40) for which in (FIXED, name))
    assert ours >= 1.2 * fixed
    # And it is the limit that does it, not a service that was spared.
    assert found.slow[name].throughput(25, 40) >= 0.9 * best_fixed(1 / 3).throughput


@pytest.mark.parametrize("name", ADAPTIVE)
def test_when_the_service_has_recovered_so_has_throughput(found: Findings, name: str) -> None:
    assert found.slow[name].throughput(45, 60) >= 0.9 * best_fixed(1).throughput


def test_a_limit_of_50_is_a_good_choice_while_all_is_well(found: Findings) -> None:
    """Otherwise to be better than that would say little."""
    assert found.steady[FIXED].throughput(10, 30) >= 0.9 * best_fixed(1).throughput


@pytest.mark.parametrize("policy", POLICIES)
def test_a_limit_does_not_climb_under_an_overload_that_lasts(policy: str) -> None:
    scenario = Scenario("two minutes", (Phase(120),))
    trace = simulate(scenario, lambda clock: penstock.Limiter(POLICIES[policy](), timer=clock))
    assert trace.throughput(90, 120) >= 0.9 * best_fixed(1).throughput
    assert trace.p95(90, 120) <= 1.5 * best_fixed(1).p95


@pytest.mark.parametrize("policy", POLICIES)
def test_a_limit_that_begins_in_overload_comes_down(policy: str) -> None:
    trace = simulate(
        Scenario("far too many", (Phase(60),)),
        lambda clock: penstock.Limiter(POLICIES[policy](initial=200), timer=clock),
    )
    assert trace.throughput(30, 60) >= 0.9 * best_fixed(1).throughput


@pytest.mark.parametrize("name", ADAPTIVE)
def test_both_backends_do_the_same(name: str) -> None:
    if penstock.BACKEND != "native":
        pytest.skip("there is one backend")
    both = [c for c in LIMITS if c.name.removesuffix(" (pure)") == f"penstock {name}"]
    scenario = Scenario("short", (Phase(8), Phase(12, 1 / 3)))
    native, pure = (simulate(scenario, maker(contender)) for contender in both)
    assert native == pure


# what is told


def test_the_verdicts_are_those_of_the_claims(found: Findings) -> None:
    claims = verdicts(found)
    assert [claim.met for claim in claims] == [True] * 6
    spoilt = Findings(found.well, found.slowed, found.steady, dict(found.slow))
    spoilt.slow[ADAPTIVE[0]] = spoilt.slow[FIXED]
    (failed,) = [claim for claim in verdicts(spoilt) if not claim.met]
    assert (failed.claim, failed.measured) == (
        f"{ADAPTIVE[0]}: slow, throughput / fixed 50",
        "1.00 x",
    )


def test_the_table_has_a_line_for_each_limit(found: Findings) -> None:
    lines = table(found).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        f"| {name}" for name in ("best fixed limit for each", FIXED, *ADAPTIVE)
    ]
    assert {line.count("|") for line in lines} == {8}
    assert lines[3].endswith("| 50 |")


def test_rows_of_the_benchmark_say_the_same(found: Findings) -> None:
    contenders = [c for c in LIMITS if c.backend == penstock.BACKEND]
    run = run_rows(choose(["limits"]), contenders, Plan())
    assert run.outcome.failed == {}
    results = {result.name: result for result in run.outcome.results}
    assert set(results) == {"limits.well", "limits.well-p95", "limits.slow", "limits.slow-p95"}
    name = contenders[1].name
    for row, figure in (
        ("limits.well", found.steady[ADAPTIVE[0]].throughput(10, 30)),
        ("limits.slow", found.slow[ADAPTIVE[0]].throughput(20, 40)),
        ("limits.slow-p95", found.slow[ADAPTIVE[0]].p95(20, 40) * 1000),
    ):
        assert results[row].samples[name] == [pytest.approx(figure)]
    assert results["limits.well-p95"].samples["best fixed limit"] == [best_fixed(1).p95 * 1000]


def test_the_goals_read_the_rows_of_the_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benches"))
    import goals

    samples = {"best fixed limit": [100.0], FIXED: [50.0]}
    samples |= {f"penstock {name}": [90.0] for name in ADAPTIVE}
    results = [Result(f"limits.{row}", "t", "t", "u", samples) for row in ("well", "slow")]
    found = goals.judge(Outcome(results))
    assert [(v.measured, v.met) for v in found] == [("0.90 x", True), ("1.80 x", True)] * 2


# the picture


def test_the_picture_is_well_formed_and_says_what_it_shows(found: Findings) -> None:
    root = ElementTree.fromstring(plot(found))
    assert root.tag == f"{SVG}svg"
    assert root.findtext(f"{SVG}title") == "Limits in front of a simulated service, 200 clients"
    words = {text.text for text in root.iter(f"{SVG}text")}
    assert words >= {*ADAPTIVE, FIXED, "best fixed limit for each speed", "seconds", "fixed limit"}


def test_the_picture_has_a_line_for_each_limit_in_each_chart(found: Findings) -> None:
    root = ElementTree.fromstring(plot(found))
    lines = [line.get("class") for line in root.iter(f"{SVG}polyline")]
    legend, upper, lower = 1, 2 * 2, 3 * 2
    assert lines.count("ink d") == legend + upper + lower
    for ink in "abc":
        assert lines.count(f"ink {ink}") == legend + lower


def test_nothing_is_drawn_outside_the_picture(found: Findings) -> None:
    root = ElementTree.fromstring(plot(found))
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for line in root.iter(f"{SVG}polyline"):
        for point in line.attrib["points"].split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= width
            assert 0 <= y <= height


def test_the_picture_is_readable_on_light_and_dark_pages(found: Findings) -> None:
    text = plot(found)
    light, dark = text.split("@media(prefers-color-scheme:dark)")
    for kind in ("text", r"\.page", r"\.ink\.a", r"\.ink\.d", r"\.grid"):
        colours = [re.search(kind + r"\{(?:fill|stroke):(#\w{6})", part) for part in (light, dark)]
        assert colours[0] is not None
        assert colours[1] is not None
        assert colours[0][1] != colours[1][1]


def test_the_command_prints_the_claims_and_writes_the_picture(
    found: Findings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benches"))
    import simulate_limits

    path = tmp_path / "limits.svg"
    monkeypatch.setattr(simulate_limits, "explore", lambda: found)
    monkeypatch.setattr(sys, "argv", ["simulate_limits.py", "--svg", str(path)])
    assert simulate_limits.main() == 0
    assert path.read_text() == plot(found)
    printed = capsys.readouterr().out
    assert table(found) in printed
    assert printed.count(": met") == 6
    found.slow[ADAPTIVE[0]], kept = found.slow[FIXED], found.slow[ADAPTIVE[0]]
    try:
        assert simulate_limits.main() == 1
    finally:
        found.slow[ADAPTIVE[0]] = kept
    assert "NOT MET" in capsys.readouterr().out


def test_the_picture_in_the_docs_is_that_of_these_limits(found: Findings) -> None:
    same = (ROOT / "docs" / "limits.svg").read_text() == plot(found)
    assert same, "make plots draws it again"
