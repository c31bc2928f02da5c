"""The demo with a real service, a real client and real signals, in small."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from penstock.demo import DemoError, DemoOptions, run
from penstock.demo._client import fetch_stats, request_all
from penstock.demo._documents import build_database
from penstock.demo._process import running_service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SMALL = ("--documents", "200", "--requests", "400")
# More than can be answered before the test is over.
_LONG = ("--documents", "2000", "--requests", "500000")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the demo's temporary directory would be left."""
    path = tmp_path / "tmp"
    path.mkdir()
    return path


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "documents.sqlite"
    for _ in build_database(path, 50, 1):
        pass
    return path


def _quiet(done: int, total: int) -> None:
    pass


def _start(home: Path, *arguments: str, **env: str) -> subprocess.Popen[str]:
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "penstock", "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(home), **env},
        start_new_session=True,
    )


def _finish(home: Path, *arguments: str, **env: str) -> tuple[int, str, str]:
    with _start(home, *arguments, **env) as demo:
        out, err = demo.communicate(timeout=50)
    assert list(home.iterdir()) == []
    assert "Warning" not in err
    assert "Traceback" not in err
    return demo.returncode, out, err


@pytest.fixture
def long_demo(home: Path) -> Iterator[subprocess.Popen[str]]:
    with _start(home, *_LONG) as demo:
        yield demo
        if demo.poll() is None:
            demo.kill()


def _wait_for(demo: subprocess.Popen[str], stage: str) -> list[psutil.Process]:
    """Return the children of the demo once it says that it is at *stage*."""
    assert demo.stderr is not None
    for line in demo.stderr:
        if line.startswith(stage):
            return list(psutil.Process(demo.pid).children(recursive=True))
    raise AssertionError(f"the demo ended before {stage!r}")


def test_both_rounds_are_shown_side_by_side(home: Path) -> None:
    code, out, err = _finish(home, *_SMALL)
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]  # columns are as wide as figures
    assert "as is @cached factor" in lines
    assert "x the requests per second; the same bodies in each round, no errors" in out
    stages = [line for line in err.splitlines() if line.endswith("...")]
    assert stages == [
        "making 200 documents ...",
        "round 'as is' ...",
        "round '@cached' ...",
        "round 'a commit each' ...",
        "round 'Recorder' ...",
        "round 'no L2' ...",
        "round 'L2, first start' ...",
        "round 'L2, restarted' ...",
    ]
    assert "a commit each Recorder factor" in lines
    assert "no L2 L2, first start factor L2, restarted factor" in lines


def test_json_is_all_there_is_on_standard_output(home: Path) -> None:
    code, out, _ = _finish(home, *_SMALL, "--json", "--seed", "5", "--cache-size", "20")
    answer = json.loads(out)
    as_is, cached = answer["rounds"]
    assert (code, answer["ok"], answer["requests"]) == (0, True, 400)
    assert as_is["database_reads"] == 400
    assert cached["hits"] + cached["misses"] == 400
    assert cached["database_reads"] <= cached["misses"]
    assert cached["evictions"] > 0
    before, after = answer["events"]["rounds"]
    assert before["rows_written"] == after["rows_written"] == answer["events"]["requests"] > 100
    assert before["commits"] == before["rows_written"]
    assert after["commits"] < before["commits"] / 2
    without, first, again = answer["restart"]["rounds"]
    assert answer["restart"]["store"] == "SQLite"
    assert first["database_reads"] > 20 < without["database_reads"]
    assert again["database_reads"] == 0 < again["l2_hits"]
    assert without["l2_hits"] == 0


def test_pure_backend_runs_the_demo(home: Path) -> None:
    code, out, _ = _finish(home, *_SMALL, "--json", PENSTOCK_PURE="1")
    assert code == 0
    assert json.loads(out)["backend"] == "pure"


@pytest.mark.parametrize("name", ["trace.txt", "trace.txt.gz"])
def test_trace_decides_what_is_asked_for(home: Path, tmp_path: Path, name: str) -> None:
    trace = tmp_path / name
    lines = b"/a\n/b\n/a\n/c\n/a\n" * 20
    trace.write_bytes(gzip.compress(lines) if name.endswith(".gz") else lines)
    # One at a time: no two requests for one key can be under way together.
    code, out, _ = _finish(home, *_SMALL, "--json", "--concurrency", "1", "--trace", str(trace))
    answer = json.loads(out)
    assert (code, answer["requests"], answer["distinct_keys"]) == (0, 100, 3)
    assert answer["rounds"][1]["database_reads"] == 3
    assert answer["rounds"][1]["hit_ratio"] == 0.97


def test_bad_trace_is_exit_code_2(home: Path, tmp_path: Path) -> None:
    code, out, err = _finish(home, "--trace", str(tmp_path / "nowhere"))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1


@pytest.mark.parametrize("stage", ["making", "round 'as is'"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_to_the_group_leaves_nothing_behind(
    home: Path, long_demo: subprocess.Popen[str], stage: str, number: signal.Signals, code: int
) -> None:
    children = _wait_for(long_demo, stage)
    assert len(children) == (stage != "making")
    os.killpg(long_demo.pid, number)
    out, err = long_demo.communicate(timeout=30)
    assert long_demo.returncode == code
    assert out == ""
    assert err.splitlines()[-1] == "penstock demo: interrupted"
    assert "Traceback" not in err
    assert not any(child.is_running() for child in children)
    assert list(home.iterdir()) == []


def test_second_ctrl_c_does_not_cut_the_clean_up_short(
    home: Path, long_demo: subprocess.Popen[str]
) -> None:
    children = _wait_for(long_demo, "round 'as is'")
    children[0].suspend()  # cannot stop politely: the clean-up takes its time
    for _ in range(3):
        os.killpg(long_demo.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            long_demo.wait(0.3)  # apart, or they are delivered as one
    long_demo.communicate(timeout=30)
    assert long_demo.returncode == 130
    assert not children[0].is_running()
    assert list(home.iterdir()) == []


def test_killed_demo_takes_its_service_with_it(long_demo: subprocess.Popen[str]) -> None:
    children = _wait_for(long_demo, "round 'as is'")
    long_demo.kill()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []


def test_crashed_service_is_reported(home: Path, long_demo: subprocess.Popen[str]) -> None:
    (child,) = _wait_for(long_demo, "round 'as is'")
    child.kill()
    _, err = long_demo.communicate(timeout=30)
    assert long_demo.returncode == 1
    assert "penstock demo: error: the service was ended by signal 9" in err
    assert "Traceback" not in err
    assert list(home.iterdir()) == []


def test_service_that_does_not_start_shows_its_last_lines(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_service(tmp_path / "nowhere", (), tmp_path / "log"):
            pass

    with pytest.raises(DemoError, match=r"(?s)ended with exit code 1; .*unable to open database"):
        asyncio.run(main())


def test_deadline_ends_the_demo_with_advice(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(home))
    with pytest.raises(DemoError, match=r"not done after 0 s; try fewer --requests \(now 400\)"):
        run(DemoOptions(documents=200, requests=400, deadline=0))
    assert list(home.iterdir()) == []


def test_slow_first_round_is_cut_short_for_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(DemoOptions(documents=50, requests=400, budget=0, as_json=True)) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["requests"], answer["planned_requests"]) == (1, 400)
    assert [each["database_reads"] for each in answer["rounds"]] == [1, 1]


def test_service_listens_on_loopback_only(tmp_path: Path, database: Path) -> None:
    async def main() -> set[str]:
        async with running_service(database, (), tmp_path / "log") as service:
            assert service.url.startswith("http://127.0.0.1:")
            connections = psutil.Process(service.pid).net_connections(kind="inet")
            return {each.laddr.ip for each in connections}

    assert asyncio.run(main()) == {"127.0.0.1"}


def test_failed_requests_are_counted_and_do_not_end_the_round(
    tmp_path: Path, database: Path
) -> None:
    async def main() -> None:
        async with running_service(database, (), tmp_path / "log") as service:
            load = await request_all(service.url, [1, 99, 2, 98], 1, _quiet, 60)
            assert (load.errors, len(load.latencies), set(load.digests)) == (2, 2, {1, 2})
            assert load.first_error == "HTTP 404 for document 99"
            assert (await fetch_stats(service.url))["reads"] == 4

    asyncio.run(main())


def test_client_without_a_service_counts_errors() -> None:
    async def main() -> None:
        # Port 9 (discard) of the loopback interface: nobody listens there.
        load = await request_all("http://127.0.0.1:9", [1, 2], 1, _quiet, 60)
        assert load.errors == 2
        assert "ClientConnectorError" in load.first_error
        with pytest.raises(DemoError, match="no counts from the service"):
            await fetch_stats("http://127.0.0.1:9")

    asyncio.run(main())
