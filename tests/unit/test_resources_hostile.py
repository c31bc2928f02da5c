"""`Resources` where files are missing, unreadable or wrong, and time or counters jump."""

from __future__ import annotations

import errno
import math
import os
import random
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.cgroups import GIB, MIB, Tree, v1, v2
from tests.clock import Clock
from tests.forks import in_child
from tests.threads import spawn

from penstock.flow._resources import ResourceReading, Resources, effective_cpus

VERSIONS = pytest.mark.parametrize("make", [v1, v2])


class Psutil:
    """A psutil whose figures a test sets; the real one stays out of it."""

    def __init__(self) -> None:
        self.busy = 0.0
        self.idle = 0.0
        self.error: BaseException | None = None

    def _ask(self) -> None:
        if self.error is not None:
            raise self.error

    def cpu_times(self) -> Any:
        self._ask()
        times = {"user": self.busy, "idle": self.idle, "iowait": 0.0, "guest": self.busy}
        return SimpleNamespace(_asdict=lambda: times)

    def virtual_memory(self) -> Any:
        self._ask()
        return SimpleNamespace(total=16 * GIB, available=4 * GIB)

    def cpu_count(self) -> int | None:
        self._ask()
        return 12


@pytest.fixture
def psutil(monkeypatch: pytest.MonkeyPatch) -> Psutil:
    """What is asked when there are no files."""
    fake = Psutil()
    monkeypatch.setitem(sys.modules, "psutil", fake)  # type: ignore[arg-type]
    return fake


@pytest.fixture
def clock() -> Clock:
    """A clock that starts anywhere."""
    return Clock(500.0)


def limited(make: Any, root: Path) -> Tree:
    """A container of one CPU and 1 GiB, half of which is in use."""
    tree: Tree = make(root)
    tree.quota(1)
    tree.memory_limit(GIB)
    tree.memory(GIB // 2)
    return tree


class TestWithoutFiles:
    """Nothing below the root."""

    def test_a_host_without_proc_is_asked_of_psutil(
        self, tmp_path: Path, psutil: Psutil, clock: Clock
    ) -> None:
        resources = Resources(root=tmp_path, timer=clock)
        psutil.busy, psutil.idle = 5.0, 50.0
        first = resources.read()
        assert first == ResourceReading(
            memory=0.75, cpus=12.0, memory_limit=16 * GIB, working_set=12 * GIB, source="host"
        )
        clock.advance(1)
        psutil.busy, psutil.idle = 8.0, 51.0
        assert resources.read().cpu == pytest.approx(0.75)
        assert effective_cpus(root=tmp_path) == 12.0

    def test_the_real_psutil_answers_as_the_fake_does(self, tmp_path: Path, clock: Clock) -> None:
        pytest.importorskip("psutil")
        resources = Resources(root=tmp_path, timer=clock)
        reading = resources.read()
        assert reading.source == "host"
        assert reading.memory is not None
        assert 0.0 < reading.memory < 1.0
        assert reading.cpus is not None
        assert reading.cpus >= 1.0
        clock.advance(1)
        share = resources.read().cpu
        assert share is None or 0.0 <= share <= 1.0

    @pytest.mark.parametrize(
        "error", [OSError(2, "no /proc"), RuntimeError("?"), ValueError(), KeyError("x")]
    )
    def test_where_nothing_can_be_read_nothing_is_raised(
        self,
        tmp_path: Path,
        psutil: Psutil,
        monkeypatch: pytest.MonkeyPatch,
        clock: Clock,
        error: BaseException,
    ) -> None:
        psutil.error = error
        monkeypatch.setattr(os, "cpu_count", lambda: None)
        resources = Resources(root=tmp_path, timer=clock)
        for _ in range(3):
            assert resources.read() == ResourceReading()
            clock.advance(1)
        assert effective_cpus(root=tmp_path) == 1.0

    def test_psutil_may_be_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "psutil", None)
        monkeypatch.setattr(os, "cpu_count", lambda: 3)
        assert Resources(root=tmp_path).read() == ResourceReading(cpus=3.0, source="host")

    def test_a_root_that_is_not_there_is_an_empty_one(self, psutil: Psutil) -> None:
        assert Resources(root="/no/such/place").read().source == "host"

    def test_proc_without_cgroups_is_read_itself(
        self, tmp_path: Path, psutil: Psutil, clock: Clock
    ) -> None:
        tree = v2(tmp_path)
        tree.remove("/proc/self/cgroup")
        tree.times(100, 100)
        resources = Resources(root=tmp_path, timer=clock)
        reading = resources.read()
        assert (reading.memory, reading.memory_limit, reading.cpus) == (0.25, 8 * GIB, 4.0)
        assert reading.source == "host"
        clock.advance(1)
        tree.times(175, 125)
        assert resources.read().cpu == pytest.approx(0.75)

    def test_an_affinity_does_not_keep_the_machine_from_being_measured(
        self, tmp_path: Path, psutil: Psutil, clock: Clock
    ) -> None:
        tree = v2(tmp_path)
        tree.remove("/sys/fs")
        tree.write("/proc/self/status", "A:\t1\nCpus_allowed_list:\t0-1")
        tree.times(0, 0)
        resources = Resources(root=tmp_path, timer=clock)
        assert resources.read().cpus == 2.0
        clock.advance(1)
        tree.times(30, 70)
        assert resources.read().cpu == pytest.approx(0.3)


class TestMissingParts:
    """Some files of the cgroup are not there, or cannot be read."""

    @VERSIONS
    def test_each_file_may_be_missing_or_be_a_directory(
        self, tmp_path: Path, make: Any, psutil: Psutil, clock: Clock
    ) -> None:
        tree = limited(make, tmp_path / "whole")
        files = [path.relative_to(tree.root) for path in tree.root.rglob("*") if path.is_file()]
        assert len(files) > 8
        for number, file in enumerate(files):
            for kind in ("missing", "directory", "dangling"):
                broken = limited(make, tmp_path / f"{kind}{number}")
                broken.remove(str(file))
                if kind == "directory":
                    (broken.root / file).mkdir()
                if kind == "dangling":
                    (broken.root / file).symlink_to("nowhere")
                resources = Resources(root=broken.root, timer=clock)
                resources.read()
                clock.advance(1)
                reading = resources.read()
                assert reading.source in {"cgroup", "host"}, file
                assert reading.memory in {0.5, 0.25, 0.75}, file

    @VERSIONS
    def test_files_that_refuse_to_be_read_are_none(
        self, tmp_path: Path, make: Any, psutil: Psutil, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tree = limited(make, tmp_path)
        tree.pressure("cpu", 50.0, machine=True)
        closed: list[int] = []
        close = os.close

        def refuse(*_: object) -> bytes:
            raise OSError(errno.EOPNOTSUPP, "pressure is switched off")

        monkeypatch.setattr(os, "read", refuse)
        monkeypatch.setattr(os, "close", lambda file: (closed.append(file), close(file)))
        reading = Resources(root=tree.root).read()
        assert reading.cpu_pressure is None
        assert reading.source == "host"
        assert len(closed) > 5  # no descriptor is lost

    def test_files_without_permission_are_none(
        self, tmp_path: Path, psutil: Psutil, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tree = limited(v2, tmp_path)

        def refuse(*_: object) -> int:
            raise PermissionError

        monkeypatch.setattr(os, "open", refuse)
        assert Resources(root=tree.root).read().source == "host"

    @VERSIONS
    def test_what_vanishes_between_readings_is_none(
        self, tmp_path: Path, make: Any, psutil: Psutil, clock: Clock
    ) -> None:
        tree = limited(make, tmp_path)
        resources = Resources(root=tree.root, timer=clock)
        resources.read()
        tree.remove("/sys")
        clock.advance(1)
        reading = resources.read()
        assert (reading.cpu, reading.throttled, reading.oom_kills) == (None, None, None)
        tree = limited(make, tmp_path)
        clock.advance(1)
        resources.read()
        tree.cpu(0.5)
        clock.advance(1)
        assert resources.read().cpu == pytest.approx(0.5)

    @VERSIONS
    def test_garbage_in_any_file_raises_nothing(
        self, tmp_path: Path, make: Any, psutil: Psutil, clock: Clock
    ) -> None:
        tree = limited(make, tmp_path)
        files = [path for path in tree.root.rglob("*") if path.is_file()]
        contents = {file: file.read_bytes() for file in files}
        chance = random.Random(7)
        for number in range(400):
            file = chance.choice(files)
            good = contents[file]
            cut = chance.randrange(len(good))
            noise = chance.choice(
                [b"\xff\0", b"max", b"-1", b"9" * 30, b" ", b"\n\n", b"nan", b":"]
            )
            file.write_bytes(good[:cut] + noise + good[cut + chance.randrange(5) :])
            resources = Resources(root=tree.root, timer=clock)
            for _ in range(2):
                reading = resources.read()
                clock.advance(1)
                shares = (reading.cpu, reading.memory, reading.throttled, reading.cpus)
                assert all(each is None or each >= 0.0 for each in shares), (number, file)
            file.write_bytes(good)


class TestClock:
    """Time that does not go as it should."""

    @pytest.fixture
    def tree(self, tmp_path: Path) -> Tree:
        return limited(v2, tmp_path)

    def test_no_time_between_readings_repeats_the_rates(self, tree: Tree, clock: Clock) -> None:
        resources = Resources(root=tree.root, timer=clock)
        resources.read()
        tree.cpu(5)
        assert resources.read().cpu is None
        clock.advance(10)
        assert resources.read().cpu == pytest.approx(0.5)
        tree.cpu(9)
        clock.advance(0.0005)
        tree.memory(GIB)
        reading = resources.read()
        assert reading.cpu == pytest.approx(0.5)
        assert reading.memory == 1.0  # that is of now
        clock.advance(7.9995)
        assert resources.read().cpu == pytest.approx(0.5)  # and nothing of it is lost

    @pytest.mark.parametrize("jump", [-0.5, -400.0, -1e9])
    def test_a_clock_that_goes_back_starts_anew(
        self, tree: Tree, clock: Clock, jump: float
    ) -> None:
        resources = Resources(root=tree.root, timer=clock)
        resources.read()
        clock.advance(jump)
        tree.cpu(1)
        reading = resources.read()
        assert (reading.cpu, reading.throttled, reading.memory) == (None, None, 0.5)
        clock.advance(2)
        tree.cpu(2)
        assert resources.read().cpu == pytest.approx(0.5)

    def test_limits_are_read_again_when_the_clock_went_back(self, tree: Tree, clock: Clock) -> None:
        resources = Resources(root=tree.root, timer=clock)
        resources.read()
        tree.memory_limit(2 * GIB)
        clock.advance(-100)
        assert resources.read().memory == 0.25

    def test_a_jump_ahead_is_a_long_interval(self, tree: Tree, clock: Clock) -> None:
        resources = Resources(root=tree.root, timer=clock)
        resources.read()
        clock.advance(1e9)
        tree.cpu(1)
        assert resources.read().cpu == pytest.approx(1e-9)

    @pytest.mark.parametrize("time", [math.nan, math.inf])
    def test_a_clock_that_shows_no_time_gives_no_rates(
        self, tree: Tree, clock: Clock, time: float
    ) -> None:
        resources = Resources(root=tree.root, timer=clock)
        resources.read()
        clock.now = time
        for _ in range(2):
            reading = resources.read()
            assert reading.cpu in {None, 0.0}
            assert reading.memory == 0.5


class TestCounters:
    """Counters that go back: the container was restored from a checkpoint."""

    @VERSIONS
    def test_a_counter_that_went_back_starts_anew(
        self, tmp_path: Path, make: Any, clock: Clock
    ) -> None:
        tree = limited(make, tmp_path)
        tree.cpu(1000, periods=100, throttled=50, stalled=9)
        resources = Resources(root=tree.root, timer=clock)
        resources.read()
        tree.cpu(1, periods=10, throttled=5, stalled=1)
        clock.advance(1)
        reading = resources.read()
        assert (reading.cpu, reading.throttled) == (None, None)
        tree.cpu(1.25, periods=20, throttled=5, stalled=1)
        clock.advance(1)
        reading = resources.read()
        assert reading.cpu == pytest.approx(0.25)
        assert reading.throttled == 0.0

    def test_those_of_the_machine_too(self, tmp_path: Path, clock: Clock) -> None:
        tree = v2(tmp_path)
        tree.remove(tree.path("cpu.stat"))
        tree.times(1000, 1000)
        resources = Resources(root=tree.root, timer=clock)
        resources.read()
        clock.advance(1)
        tree.times(10, 2000)
        assert resources.read().cpu is None
        clock.advance(1)
        tree.times(10, 2000)
        assert resources.read().cpu is None  # no tick has passed
        clock.advance(1)
        tree.times(60, 2050)
        assert resources.read().cpu == pytest.approx(0.5)

    def test_more_memory_in_use_than_there_is_shows(self, tmp_path: Path) -> None:
        tree = limited(v2, tmp_path)
        tree.memory_limit(MIB)
        assert Resources(root=tree.root).read().memory == 512.0


def test_threads_may_share_an_object(tmp_path: Path) -> None:
    tree = limited(v2, tmp_path)
    resources = Resources(root=tree.root)

    def read() -> set[float | None]:
        return {resources.read().memory for _ in range(100)}

    threads = [spawn(read) for _ in range(4)]
    assert [thread.result() for thread in threads] == [{0.5}] * 4


def test_a_forked_child_reads_on(tmp_path: Path) -> None:
    tree = limited(v2, tmp_path)
    resources = Resources(root=tree.root)
    resources.read()

    def check() -> None:
        assert resources.read().memory == 0.5

    assert in_child(check)
