"""A faked ``/proc`` and ``/sys/fs/cgroup``: a container whose figures a test sets."""

from __future__ import annotations

import shutil
from pathlib import Path

__all__ = ["GIB", "MIB", "Tree", "v1", "v2"]

MIB = 1 << 20
GIB = 1 << 30

_SELF = "/proc/self"
_SYS = "/sys/fs/cgroup"


class Tree:
    """
    Files below a directory.

    Args:
        root: The directory.
        cgroup: The one of the process, as a path below the mounts.
        version: 1 or 2.
    """

    def __init__(self, root: Path, cgroup: str, version: int) -> None:
        self.root = root
        self.cgroup = cgroup.strip("/")
        self.version = version

    def write(self, path: str, text: object) -> None:
        """Write a file, and make the directories above it."""
        file = self.root / path.strip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    def remove(self, path: str) -> None:
        """Remove a file or a directory."""
        place = self.root / path.strip("/")
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink()

    def path(self, name: str, *, cgroup: str | None = None, controller: str = "") -> str:
        """Return where a file of a cgroup is, that of the process if no other is named."""
        where = self.cgroup if cgroup is None else cgroup.strip("/")
        return "/".join(part for part in (_SYS, controller, where, name) if part)

    def set(self, name: str, value: object, *, cgroup: str | None = None, of: str = "") -> None:
        """Write a file of a cgroup; *of* is the controller in version 1."""
        self.write(self.path(name, cgroup=cgroup, controller=of), value)

    def cpus(self, count: int) -> None:
        """Set the CPUs of the machine, on all of which the process may run."""
        self.write("/sys/devices/system/cpu/online", f"0-{count - 1}" if count > 1 else "0")
        self.write(f"{_SELF}/status", f"Name:\tpython\nCpus_allowed_list:\t0-{count - 1}\nMems:\t0")

    def ram(self, total: int, available: int) -> None:
        """Set the memory of the machine."""
        self.write(
            "/proc/meminfo",
            f"MemTotal:       {total >> 10} kB\nMemFree:  1 kB\n"
            f"MemAvailable:   {available >> 10} kB",
        )

    def times(self, busy: int, idle: int) -> None:
        """Set the CPU times of the machine, in ticks."""
        self.write("/proc/stat", f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 {busy} 0 0 {idle}")

    def memory(self, used: int, inactive: int = 0, *, cgroup: str | None = None) -> None:
        """Set what a cgroup uses, and how much of that is file cache that can go."""
        if self.version == 2:
            self.set("memory.current", used, cgroup=cgroup)
            stat = f"anon 1\nfile 2\ninactive_file {inactive}\nactive_file 7"
            self.set("memory.stat", stat, cgroup=cgroup)
        else:
            self.set("memory.usage_in_bytes", used, cgroup=cgroup, of="memory")
            stat = f"cache 1\ninactive_file 5\ntotal_inactive_file {inactive}"
            self.set("memory.stat", stat, cgroup=cgroup, of="memory")

    def memory_limit(self, limit: object, *, cgroup: str | None = None) -> None:
        """Set the limit of a cgroup."""
        if self.version == 2:
            self.set("memory.max", limit, cgroup=cgroup)
        else:
            self.set("memory.limit_in_bytes", limit, cgroup=cgroup, of="memory")

    def cpu(
        self,
        seconds: float,
        *,
        periods: int = 0,
        throttled: int = 0,
        stalled: float = 0.0,
        cgroup: str | None = None,
    ) -> None:
        """Set the CPU time that a cgroup has used, and how often its quota was used up."""
        counts = f"nr_periods {periods}\nnr_throttled {throttled}"
        if self.version == 2:
            usage = f"usage_usec {round(seconds * 1e6)}\nuser_usec 1\nsystem_usec 1"
            stat = f"{usage}\n{counts}\nthrottled_usec {round(stalled * 1e6)}"
            self.set("cpu.stat", stat, cgroup=cgroup)
        else:
            stat = f"{counts}\nthrottled_time {round(stalled * 1e9)}"
            self.set("cpu.stat", stat, cgroup=cgroup, of="cpu,cpuacct")
            self.set("cpuacct.usage", round(seconds * 1e9), cgroup=cgroup, of="cpu,cpuacct")

    def quota(self, cpus: float | None, *, cgroup: str | None = None) -> None:
        """Set the CPU quota of a cgroup."""
        quota = None if cpus is None else round(cpus * 100_000)
        if self.version == 2:
            self.set("cpu.max", f"{'max' if quota is None else quota} 100000", cgroup=cgroup)
        else:
            self.set("cpu.cfs_quota_us", quota or -1, cgroup=cgroup, of="cpu,cpuacct")
            self.set("cpu.cfs_period_us", 100_000, cgroup=cgroup, of="cpu,cpuacct")

    def pressure(self, name: str, avg10: float, *, machine: bool = False) -> None:
        """Set the pressure on "cpu" or "memory", in percent."""
        text = (
            f"some avg10={avg10:.2f} avg60=1.00 avg300=1.00 total=1\n"
            "full avg10=99.00 avg60=0.00 avg300=0.00 total=1"
        )
        self.write(f"/proc/pressure/{name}" if machine else self.path(f"{name}.pressure"), text)


def v2(root: Path, cgroup: str = "/pod/app", *, mount_root: str = "/") -> Tree:
    """Return a container of 4 CPUs and 8 GiB on version 2, without limits."""
    tree = Tree(root, cgroup, 2)
    tree.write(f"{_SELF}/cgroup", f"0::{cgroup}")
    tree.write(
        f"{_SELF}/mountinfo",
        "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
        f"31 23 0:28 {mount_root} {_SYS} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate",
    )
    _fill(tree)
    return tree


def v1(root: Path, cgroup: str = "/docker/abc", *, mount_root: str = "/") -> Tree:
    """Return the same on version 1, with CPU time accounted for beside the quota."""
    tree = Tree(root, cgroup, 1)
    tree.write(
        f"{_SELF}/cgroup",
        f"5:memory:{cgroup}\n4:cpu,cpuacct:{cgroup}\n3:cpuset:{cgroup}\n1:name=systemd:/",
    )
    tree.write(
        f"{_SELF}/mountinfo",
        "\n".join(
            f"3{number} 31 0:3{number} {mount_root} {_SYS}/{name} ro - cgroup cgroup rw,{name}"
            for number, name in enumerate(("memory", "cpu,cpuacct", "cpuset"))
        ),
    )
    _fill(tree)
    return tree


def _fill(tree: Tree) -> None:
    tree.cpus(4)
    tree.ram(8 * GIB, 6 * GIB)
    tree.memory(0)
    tree.memory_limit("max" if tree.version == 2 else 0x7FFFFFFFFFFFF000)
    tree.quota(None)
    tree.cpu(0)
