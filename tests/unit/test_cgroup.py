"""Where the cgroup of a process is found, and the limits along its ancestry."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cgroups import GIB, MIB, Tree, v1, v2

from penstock.flow._cgroup import Cgroup, find_hierarchies
from penstock.flow._kernel_files import entry, parse_cpu_list, read_pressure, read_table

VERSIONS = pytest.mark.parametrize("make", [v1, v2])


def found(tree: Tree, controller: str = "memory") -> list[str]:
    """The levels that are found, below the mount of the hierarchy."""
    hierarchy = find_hierarchies(str(tree.root)).get(controller)
    levels = () if hierarchy is None else hierarchy.levels
    return [level.removeprefix(f"{tree.root}/sys/fs/cgroup") for level in levels]


def of(tree: Tree) -> Cgroup:
    return Cgroup(str(tree.root))


class TestFinding:
    """``/proc/self/cgroup`` and ``/proc/self/mountinfo``."""

    def test_every_level_up_to_the_mount_counts(self, tmp_path: Path) -> None:
        assert found(v2(tmp_path, "/kubepods/pod1/app")) == [
            "/kubepods/pod1/app", "/kubepods/pod1", "/kubepods", "",
        ]  # fmt: skip

    def test_version_1_has_a_hierarchy_for_each_controller(self, tmp_path: Path) -> None:
        tree = v1(tmp_path, "/docker/abc")
        assert found(tree) == ["/memory/docker/abc", "/memory/docker", "/memory"]
        assert found(tree, "cpu") == found(tree, "cpuacct")
        assert found(tree, "cpu")[0] == "/cpu,cpuacct/docker/abc"

    def test_a_namespace_shows_the_own_cgroup_as_the_top(self, tmp_path: Path) -> None:
        assert found(v2(tmp_path, "/")) == [""]

    def test_a_mount_of_the_own_cgroup_alone_is_that(self, tmp_path: Path) -> None:
        # Docker on version 1 without a namespace.
        tree = v1(tmp_path, "/docker/abc", mount_root="/docker/abc")
        assert found(tree) == ["/memory"]

    def test_a_mount_of_a_level_above_leads_to_the_own_cgroup(self, tmp_path: Path) -> None:
        tree = v2(tmp_path, "/pods/a/app", mount_root="/pods/a")
        assert found(tree) == ["/app", ""]

    def test_a_sibling_of_the_mounted_root_is_not_below_it(self, tmp_path: Path) -> None:
        assert found(v2(tmp_path, "/pods/abc", mount_root="/pods/a")) == [""]

    @pytest.mark.parametrize("cgroup", ["/../other", "/a/../../b"])
    def test_a_cgroup_outside_of_the_namespace_is_the_mount(
        self, tmp_path: Path, cgroup: str
    ) -> None:
        tree = v2(tmp_path, "/")
        tree.write("/proc/self/cgroup", f"0::{cgroup}")
        assert found(tree) == [""]

    def test_of_several_mounts_that_which_holds_the_process_counts(self, tmp_path: Path) -> None:
        tree = v2(tmp_path, "/app")
        other = "30 23 0:28 /elsewhere /mnt/cgroup rw - cgroup2 none rw"
        own = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"
        tree.write("/proc/self/mountinfo", f"{other}\n{own}")
        assert found(tree) == ["/app", ""]

    def test_blanks_in_a_mount_point_are_told_by_code(self, tmp_path: Path) -> None:
        tree = v2(tmp_path, "/app")
        mount = r"31 23 0:28 / /my\040cgroups\134 rw - cgroup2 cgroup2 rw"
        tree.write("/proc/self/mountinfo", mount)
        assert found(tree) == [f"{tmp_path}/my cgroups\\/app", f"{tmp_path}/my cgroups\\"]

    def test_a_colon_in_a_name_is_part_of_it(self, tmp_path: Path) -> None:
        assert found(v2(tmp_path, "/a:b"))[0] == "/a:b"

    def test_version_1_wins_where_both_are_mounted(self, tmp_path: Path) -> None:
        tree = v1(tmp_path, "/app")
        tree.write("/proc/self/cgroup", "4:memory:/app\n0::/app")
        mounts = (tmp_path / "proc/self/mountinfo").read_text()
        unified = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"
        tree.write("/proc/self/mountinfo", f"{mounts}{unified}")
        hierarchies = find_hierarchies(str(tmp_path))
        assert hierarchies["memory"].version == 1
        # Its controllers are not listed as those of a version 1 hierarchy.
        assert hierarchies["cpu"].version == hierarchies["unified"].version == 2

    def test_a_controller_that_is_not_mounted_is_in_version_2(self, tmp_path: Path) -> None:
        tree = v2(tmp_path, "/app")
        tree.write("/proc/self/cgroup", "4:memory:/elsewhere\n0::/app")
        assert found(tree) == ["/app", ""]

    @pytest.mark.parametrize("path", ["/proc/self/cgroup", "/proc/self/mountinfo", "/proc"])
    def test_without_the_files_there_is_none(self, tmp_path: Path, path: str) -> None:
        tree = v2(tmp_path)
        tree.remove(path)
        assert find_hierarchies(str(tmp_path)) == {}

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "0",
            "0:",
            "0::",
            "::/x",
            "1:memory",
            "\0\0\0",
            "0::relative",
            "7:cpu,memory",
            "é" * 99,
        ],
    )
    def test_garbage_for_a_cgroup_is_none(self, tmp_path: Path, text: str) -> None:
        tree = v2(tmp_path)
        tree.write("/proc/self/cgroup", text)
        assert find_hierarchies(str(tmp_path)) == {}

    @pytest.mark.parametrize(
        "text",
        [
            "",
            " - ",
            "- cgroup2",
            "1 2 3 4 5 - cgroup2x c rw",
            "1 - cgroup2 c rw",
            "cgroup2 cgroup2",
        ],
    )
    def test_garbage_for_a_mount_is_none(self, tmp_path: Path, text: str) -> None:
        tree = v2(tmp_path)
        tree.write("/proc/self/mountinfo", text)
        assert find_hierarchies(str(tmp_path)) == {}

    def test_a_path_with_a_zero_in_it_is_not_there(self, tmp_path: Path) -> None:
        tree = v2(tmp_path)
        tree.write("/proc/self/cgroup", "0::/a\0b")
        assert of(tree).memory_limit is None


class TestMemoryLimits:
    """The lowest limit of all levels."""

    @VERSIONS
    def test_no_limit_is_none(self, tmp_path: Path, make: type[Tree]) -> None:
        assert of(make(tmp_path)).memory_limit is None

    @VERSIONS
    def test_the_own_limit(self, tmp_path: Path, make: type[Tree]) -> None:
        tree = make(tmp_path)
        tree.memory_limit(GIB)
        assert of(tree).memory_limit == GIB

    @pytest.mark.parametrize("level", ["/a", "/a/b", "/a/b/c", "/"])
    @VERSIONS
    def test_the_lowest_of_all_levels_counts(
        self, tmp_path: Path, make: type[Tree], level: str
    ) -> None:
        tree = make(tmp_path, "/a/b/c")
        for each in ("/a", "/a/b", "/a/b/c", "/"):
            tree.memory(1, cgroup=each)
            tree.memory_limit(GIB, cgroup=each)
        tree.memory_limit(MIB, cgroup=level)
        assert of(tree).memory_limit == MIB

    def test_where_the_kernel_begins_to_throttle_is_a_limit(self, tmp_path: Path) -> None:
        tree = v2(tmp_path)
        tree.memory_limit(GIB)
        tree.set("memory.high", 300 * MIB)
        assert of(tree).memory_limit == 300 * MIB
        tree.set("memory.high", "max")
        assert of(tree).memory_limit == GIB

    @pytest.mark.parametrize("nothing", [0x7FFFFFFFFFFFF000, 0x7FFFFFFFFFFF0000, -1, 0])
    def test_version_1_says_no_limit_by_a_large_one(self, tmp_path: Path, nothing: int) -> None:
        tree = v1(tmp_path)
        tree.memory_limit(nothing)
        assert of(tree).memory_limit is None

    def test_version_1_tells_of_limits_above_the_mount(self, tmp_path: Path) -> None:
        tree = v1(tmp_path, mount_root="/docker/abc")
        tree.cgroup = ""
        tree.memory(1)
        tree.set("memory.stat", f"hierarchical_memory_limit {5 * MIB}", of="memory")
        assert of(tree).memory_limit == 5 * MIB

    @pytest.mark.parametrize("text", ["", "lots", "1.5", "-5", "max max", "1" * 5000])
    @VERSIONS
    def test_garbage_is_no_limit(self, tmp_path: Path, make: type[Tree], text: str) -> None:
        tree = make(tmp_path)
        tree.memory_limit(text)
        assert of(tree).memory_limit is None

    @VERSIONS
    def test_a_limit_of_which_the_usage_cannot_be_read_still_counts(
        self, tmp_path: Path, make: type[Tree]
    ) -> None:
        tree = make(tmp_path, "/a/b")
        tree.memory_limit(GIB, cgroup="/a")
        assert of(tree).memory_limit == GIB


class TestQuota:
    """The lowest quota of all levels."""

    @VERSIONS
    def test_no_quota_is_none(self, tmp_path: Path, make: type[Tree]) -> None:
        assert of(make(tmp_path)).quota is None

    @VERSIONS
    def test_a_quota_is_kept_as_a_fraction(self, tmp_path: Path, make: type[Tree]) -> None:
        tree = make(tmp_path)
        tree.quota(0.35)
        assert of(tree).quota == 0.35

    @VERSIONS
    def test_the_lowest_of_all_levels_counts(self, tmp_path: Path, make: type[Tree]) -> None:
        tree = make(tmp_path, "/a/b")
        tree.quota(3)
        tree.quota(1.5, cgroup="/a")
        tree.quota(2, cgroup="/")
        assert of(tree).quota == 1.5

    @pytest.mark.parametrize(
        ("text", "quota"),
        [("50000", 0.5), ("50000 25000", 2.0), ("50000 0", None), ("0 100000", None)],
    )
    def test_version_2_may_leave_the_period_out(
        self, tmp_path: Path, text: str, quota: float | None
    ) -> None:
        tree = v2(tmp_path)
        tree.set("cpu.max", text)
        assert of(tree).quota == quota

    @pytest.mark.parametrize("text", ["", "max", "x y", "1e5 100000", "9" * 5000, "-1 100000"])
    def test_garbage_is_no_quota(self, tmp_path: Path, text: str) -> None:
        tree = v2(tmp_path)
        tree.set("cpu.max", text)
        assert of(tree).quota is None


class TestCpuset:
    """The CPUs of the cgroup."""

    def test_version_2(self, tmp_path: Path) -> None:
        tree = v2(tmp_path)
        assert of(tree).cpuset is None
        tree.set("cpuset.cpus.effective", "0-1,3")
        assert of(tree).cpuset == {0, 1, 3}

    @pytest.mark.parametrize("name", ["cpuset.effective_cpus", "cpuset.cpus"])
    def test_version_1(self, tmp_path: Path, name: str) -> None:
        tree = v1(tmp_path)
        tree.set(name, "2", of="cpuset")
        assert of(tree).cpuset == {2}

    def test_a_level_without_the_file_has_those_of_the_one_above(self, tmp_path: Path) -> None:
        tree = v2(tmp_path, "/a/b")
        tree.set("cpuset.cpus.effective", "1", cgroup="/a")
        assert of(tree).cpuset == {1}


class TestParsing:
    """Files as the kernel writes them, and as it never would."""

    @pytest.mark.parametrize(
        ("text", "cpus"),
        [
            ("0", {0}),
            ("0-3\n", {0, 1, 2, 3}),
            ("0-1,8-9,11", {0, 1, 8, 9, 11}),
            ("5-5", {5}),
            ("", None),
            (None, None),
            (",", None),
            ("3-1", None),
            ("0-", None),
            ("-1", None),
            ("a-b", None),
            ("0-99999999999", None),
        ],
    )
    def test_lists_of_cpus(self, text: str | None, cpus: set[int] | None) -> None:
        assert parse_cpu_list(text) == cpus

    def test_tables_leave_out_what_is_no_number(self, tmp_path: Path) -> None:
        (tmp_path / "stat").write_text("a 1\nb x\n\nc\nd 2 3\n e 5\nf -6")
        assert read_table(f"{tmp_path}/stat") == {"a": 1, "f": -6}

    def test_an_entry_is_found_by_its_whole_name(self) -> None:
        text = "total_file 1\nfile_mapped 2\nfile 3 kB\nlast"
        assert entry(text, "file") == 3
        assert entry(text, "total_file") == 1
        assert entry(text, "last") is entry(text, "mapped") is entry(None, "file") is None
        assert entry("file  \n7", "file") is entry("file x", "file") is None

    @pytest.mark.parametrize(
        ("text", "share"),
        [
            ("some avg10=12.50 avg60=1.00 avg300=0.50 total=1\nfull avg10=1.00", 0.125),
            ("some avg10=0.00", 0.0),
            ("full avg10=1.00\nsome avg10=2.00", None),
            ("some avg10=nan", None),
            ("some avg10=200.00", None),
            ("some avg10=", None),
            ("some", None),
            ("", None),
        ],
    )
    def test_pressure_is_a_share(self, tmp_path: Path, text: str, share: float | None) -> None:
        (tmp_path / "cpu.pressure").write_text(text)
        assert read_pressure(f"{tmp_path}/cpu.pressure") == share

    def test_bytes_that_are_no_text_hurt_nobody(self, tmp_path: Path) -> None:
        (tmp_path / "stat").write_bytes(b"\xff\xfe 1\nb 2\n\x80")
        table = read_table(f"{tmp_path}/stat")
        assert table is not None
        assert table["b"] == 2
