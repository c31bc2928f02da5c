"""`Resources`: what is in use, as the container sees it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from tests.cgroups import GIB, MIB, Tree, v1, v2
from tests.clock import Clock

from penstock.flow._resources import ResourceReading, Resources, effective_cpus

VERSIONS = pytest.mark.parametrize("make", [v1, v2])


@pytest.fixture
def clock() -> Clock:
    """A clock that starts anywhere."""
    return Clock(500.0)


def sampler(tree: Tree, clock: Clock) -> Resources:
    return Resources(root=tree.root, timer=clock)


def memory(tree: Tree) -> ResourceReading:
    return Resources(root=tree.root).read()


class TestMemory:
    """The working set and its limit."""

    @VERSIONS
    def test_the_file_cache_that_can_go_is_not_in_use(
        self, tmp_path: Path, make: type[Tree]
    ) -> None:
        tree = make(tmp_path)
        tree.memory_limit(GIB)
        tree.memory(768 * MIB, 256 * MIB)
        reading = memory(tree)
        assert reading.working_set == 512 * MIB
        assert reading.memory_limit == GIB
        assert reading.memory == 0.5
        assert reading.source == "cgroup"

    @VERSIONS
    def test_the_working_set_is_never_negative(self, tmp_path: Path, make: type[Tree]) -> None:
        tree = make(tmp_path)
        tree.memory_limit(GIB)
        tree.memory(MIB, 2 * MIB)
        assert (memory(tree).working_set, memory(tree).memory) == (0, 0.0)

    @VERSIONS
    def test_the_fullest_level_counts(self, tmp_path: Path, make: type[Tree]) -> None:
        # A sidecar fills the pod: that is what gets this container killed.
        tree = make(tmp_path, "/pod/app")
        tree.memory_limit(600 * MIB)
        tree.memory(300 * MIB)
        tree.memory_limit(1000 * MIB, cgroup="/pod")
        tree.memory(950 * MIB, cgroup="/pod")
        reading = memory(tree)
        assert reading.memory == 0.95
        assert reading.memory_limit == 600 * MIB
        assert reading.working_set == 300 * MIB

    @VERSIONS
    def test_without_a_limit_the_machine_is_what_can_be_filled(
        self, tmp_path: Path, make: type[Tree]
    ) -> None:
        tree = make(tmp_path)
        tree.memory(GIB)
        tree.ram(8 * GIB, 2 * GIB)
        reading = memory(tree)
        assert reading.memory == 0.75
        assert reading.memory_limit == 8 * GIB
        assert reading.working_set == GIB

    @VERSIONS
    def test_a_limit_above_the_memory_of_the_machine_is_none(
        self, tmp_path: Path, make: type[Tree]
    ) -> None:
        tree = make(tmp_path)
        tree.memory_limit(64 * GIB)
        tree.memory(GIB)
        tree.ram(8 * GIB, 4 * GIB)
        reading = memory(tree)
        assert (reading.memory, reading.memory_limit) == (0.5, 8 * GIB)

    def test_a_level_without_the_controller_is_part_of_the_one_above(self, tmp_path: Path) -> None:
        tree = v2(tmp_path, "/service/worker")
        for name in ("memory.current", "memory.stat", "memory.max"):
            tree.remove(tree.path(name))
        tree.memory(MIB, cgroup="/service")
        tree.memory_limit(4 * MIB, cgroup="/service")
        reading = memory(tree)
        assert (reading.working_set, reading.memory) == (MIB, 0.25)

    @VERSIONS
    def test_memory_without_statistics_counts_as_in_use(
        self, tmp_path: Path, make: type[Tree]
    ) -> None:
        tree = make(tmp_path)
        tree.memory(MIB, MIB)
        tree.remove(tree.path("memory.stat", controller="memory" if tree.version == 1 else ""))
        assert memory(tree).working_set == MIB

    def test_processes_that_were_killed_are_counted(self, tmp_path: Path) -> None:
        tree = v2(tmp_path)
        assert memory(tree).oom_kills is None
        tree.set("memory.events", "low 0\nhigh 9\nmax 8\noom 5\noom_kill 3\noom_group_kill 1")
        assert memory(tree).oom_kills == 3

    def test_version_1_counts_them_elsewhere(self, tmp_path: Path) -> None:
        tree = v1(tmp_path)
        tree.set("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2", of="memory")
        assert memory(tree).oom_kills == 2


class TestCpus:
    """How many CPUs may be used."""

    @pytest.mark.parametrize(
        ("quota", "cpus"), [(None, 4.0), (0.5, 0.5), (2.5, 2.5), (4, 4.0), (64, 4.0)]
    )
    @VERSIONS
    def test_quota_and_number_of_cpus(
        self, tmp_path: Path, make: type[Tree], quota: float | None, cpus: float
    ) -> None:
        tree = make(tmp_path)
        tree.quota(quota)
        assert effective_cpus(root=tmp_path) == cpus
        assert memory(tree).cpus == cpus

    def test_affinity_cpuset_and_what_runs_all_count(self, tmp_path: Path) -> None:
        tree = v2(tmp_path)
        tree.cpus(16)
        assert effective_cpus(root=tmp_path) == 16.0
        # Virtual machines allow CPUs that they do not have.
        tree.write("/proc/self/status", "Cpus:\t1\nCpus_allowed_list:\t2-127")
        assert effective_cpus(root=tmp_path) == 14.0
        tree.set("cpuset.cpus.effective", "0-3,15")
        assert effective_cpus(root=tmp_path) == 3.0

    def test_what_has_nothing_in_common_is_not_believed(self, tmp_path: Path) -> None:
        tree = v2(tmp_path)
        tree.set("cpuset.cpus.effective", "100-101")
        assert effective_cpus(root=tmp_path) >= 1.0

    def test_by_default_it_is_this_machine(self) -> None:
        assert 0.0 < effective_cpus() <= 65536
        assert Resources().read().cpus == effective_cpus()


class TestCpu:
    """Rates, since the last reading."""

    @VERSIONS
    def test_the_first_reading_has_no_rates(
        self, tmp_path: Path, make: type[Tree], clock: Clock
    ) -> None:
        tree = make(tmp_path)
        tree.cpu(1000)
        reading = sampler(tree, clock).read()
        assert reading.cpu is reading.throttled is None
        assert reading.cpus == 4.0

    @pytest.mark.parametrize(("quota", "share"), [(0.5, 1.0), (1, 0.5), (2, 0.25)])
    @VERSIONS
    def test_use_is_a_share_of_the_quota(
        self, tmp_path: Path, make: type[Tree], clock: Clock, quota: float, share: float
    ) -> None:
        tree = make(tmp_path)
        tree.quota(quota)
        tree.cpu(10)
        resources = sampler(tree, clock)
        resources.read()
        clock.advance(2)
        tree.cpu(11)
        assert resources.read().cpu == pytest.approx(share)

    @VERSIONS
    def test_each_reading_begins_where_the_last_one_ended(
        self, tmp_path: Path, make: type[Tree], clock: Clock
    ) -> None:
        tree = make(tmp_path)
        tree.quota(1)
        resources = sampler(tree, clock)
        used, shares = 0.0, []
        for share in (0.0, 0.9, 0.2, 1.3):
            used += share
            tree.cpu(used)
            shares.append(resources.read().cpu)
            clock.advance(1)
        assert shares[0] is None
        assert shares[1:] == pytest.approx([0.9, 0.2, 1.3])

    def test_each_object_has_its_own_baseline(self, tmp_path: Path, clock: Clock) -> None:
        tree = v2(tmp_path)
        tree.quota(1)
        one, other = sampler(tree, clock), sampler(tree, clock)
        one.read()
        clock.advance(1)
        tree.cpu(0.5)
        assert other.read().cpu is None
        assert one.read().cpu == pytest.approx(0.5)
        clock.advance(1)
        tree.cpu(1.5)
        assert one.read().cpu == pytest.approx(1.0)
        assert other.read().cpu == pytest.approx(1.0)

    @VERSIONS
    def test_a_quota_above_counts_with_all_that_is_below_it(
        self, tmp_path: Path, make: type[Tree], clock: Clock
    ) -> None:
        tree = make(tmp_path, "/pod/app")
        tree.quota(2, cgroup="/pod")
        tree.cpu(0, cgroup="/pod")
        resources = sampler(tree, clock)
        resources.read()
        clock.advance(1)
        tree.cpu(0.2)
        tree.cpu(1.9, cgroup="/pod")
        assert resources.read().cpu == pytest.approx(0.95)

    @VERSIONS
    def test_a_quota_above_counts_where_only_the_own_use_is_told(
        self, tmp_path: Path, make: type[Tree], clock: Clock
    ) -> None:
        tree = make(tmp_path, "/pod/app")
        tree.quota(2)
        tree.quota(1, cgroup="/pod")
        resources = sampler(tree, clock)
        resources.read()
        clock.advance(1)
        tree.cpu(0.5)
        assert resources.read().cpu == pytest.approx(0.5)

    def test_a_cpuset_is_a_limit_too(self, tmp_path: Path, clock: Clock) -> None:
        tree = v2(tmp_path)
        tree.set("cpuset.cpus.effective", "0-1")
        tree.times(0, 0)
        resources = sampler(tree, clock)
        resources.read()
        clock.advance(1)
        tree.cpu(1.5)
        tree.times(10, 990)
        assert resources.read().cpu == pytest.approx(0.75)

    @VERSIONS
    def test_without_limits_the_machine_is_what_can_be_filled(
        self, tmp_path: Path, make: type[Tree], clock: Clock
    ) -> None:
        tree = make(tmp_path)
        tree.times(1000, 9000)
        resources = sampler(tree, clock)
        assert resources.read().cpu is None
        clock.advance(1)
        tree.cpu(0.1)
        tree.times(1360, 9040)
        assert resources.read().cpu == pytest.approx(0.9)

    def test_waiting_for_disks_is_not_working_and_guests_count_once(
        self, tmp_path: Path, clock: Clock
    ) -> None:
        tree = v2(tmp_path)
        tree.write("/proc/stat", "cpu  0 0 0 0 0 0 0 0 0 0")
        resources = sampler(tree, clock)
        resources.read()
        clock.advance(1)
        # user nice system idle iowait irq softirq steal guest guest_nice
        tree.write("/proc/stat", "cpu  10 1 2 40 40 3 2 2 10 1")
        assert resources.read().cpu == pytest.approx(0.2)

    @VERSIONS
    def test_periods_in_which_the_quota_was_used_up(
        self, tmp_path: Path, make: type[Tree], clock: Clock
    ) -> None:
        tree = make(tmp_path)
        tree.quota(1)
        tree.cpu(0, periods=100, throttled=90, stalled=5)
        resources = sampler(tree, clock)
        assert resources.read().throttled_seconds == pytest.approx(5.0)
        clock.advance(1)
        tree.cpu(0, periods=110, throttled=93, stalled=5.25)
        reading = resources.read()
        assert reading.throttled == pytest.approx(0.3)
        assert reading.throttled_seconds == pytest.approx(5.25)
        clock.advance(1)
        assert resources.read().throttled == 0.0


class TestPressure:
    """What waits."""

    def test_that_of_the_cgroup_is_taken(self, tmp_path: Path) -> None:
        tree = v2(tmp_path)
        for name, share in (("cpu", 12.5), ("memory", 3.0)):
            tree.pressure(name, share)
            tree.pressure(name, 99.0, machine=True)
        reading = memory(tree)
        assert (reading.cpu_pressure, reading.memory_pressure) == (0.125, 0.03)

    @VERSIONS
    def test_else_that_of_the_machine(self, tmp_path: Path, make: type[Tree]) -> None:
        tree = make(tmp_path)
        tree.pressure("cpu", 50.0, machine=True)
        reading = memory(tree)
        assert (reading.cpu_pressure, reading.memory_pressure) == (0.5, None)


class TestLimitsThatChange:
    """A container that is resized in place."""

    @VERSIONS
    def test_limits_are_read_again_after_30_seconds(
        self, tmp_path: Path, make: type[Tree], clock: Clock
    ) -> None:
        tree = make(tmp_path)
        tree.memory(512 * MIB)
        tree.memory_limit(1024 * MIB)
        tree.quota(1)
        resources = sampler(tree, clock)
        assert resources.read().memory == 0.5
        tree.memory_limit(2048 * MIB)
        tree.quota(2)
        clock.advance(29)
        assert (resources.read().memory, resources.read().cpus) == (0.5, 1.0)
        clock.advance(1)
        tree.cpu(1)
        reading = resources.read()
        assert (reading.memory, reading.memory_limit) == (0.25, 2048 * MIB)
        assert reading.cpus == 2.0
        assert reading.cpu == pytest.approx(0.5)

    def test_a_process_that_is_moved_is_found_again(self, tmp_path: Path, clock: Clock) -> None:
        tree = v2(tmp_path, "/old")
        tree.quota(1)
        tree.cpu(100)
        resources = sampler(tree, clock)
        resources.read()
        tree.cgroup = "new"
        tree.memory(MIB)
        tree.quota(1)
        tree.cpu(3)
        tree.write("/proc/self/cgroup", "0::/new")
        clock.advance(31)
        reading = resources.read()
        # What another cgroup has used is no baseline.
        assert (reading.cpu, reading.working_set) == (None, MIB)
        clock.advance(1)
        tree.cpu(3.5)
        assert resources.read().cpu == pytest.approx(0.5)

    def test_paths_are_not_looked_up_for_each_reading(self, tmp_path: Path, clock: Clock) -> None:
        tree = v2(tmp_path)
        tree.memory_limit(2 * MIB)
        tree.memory(MIB)
        resources = sampler(tree, clock)
        resources.read()
        tree.remove("/proc/self")
        clock.advance(1)
        assert resources.read().memory == 0.5


def test_a_reading_is_frozen_and_empty_by_default() -> None:
    reading = ResourceReading()
    assert reading.source == "none"
    assert reading.cpu is reading.memory is reading.oom_kills is None
    with pytest.raises(FrozenInstanceError):
        reading.cpu = 1.0  # type: ignore[misc]
    assert not hasattr(reading, "__dict__")


def test_arguments_are_checked() -> None:
    with pytest.raises(TypeError, match="timer must be callable, got int"):
        Resources(timer=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="int"):
        Resources(root=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Resources("/")  # type: ignore[misc]
