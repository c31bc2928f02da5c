"""The cgroup of this process, version 1 or 2: where its files are, and the limits above it."""

from __future__ import annotations

from typing import NamedTuple

from penstock.flow._kernel_files import (
    entry,
    parse_cpu_list,
    read_int,
    read_table,
    read_text,
    to_int,
)

__all__ = ["Cgroup", "CpuLevel", "CpuTimes", "Hierarchy", "MemoryLevel", "find_hierarchies"]

_CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory")

#: Version 1 has no word for "no limit": it says the largest multiple of the page size.
_NO_LIMIT = 1 << 62

_DEFAULT_PERIOD = 100_000


class Hierarchy(NamedTuple):
    """The directories of a process in one hierarchy of cgroups, its own first, the mount last."""

    version: int
    levels: tuple[str, ...]


class _Mount(NamedTuple):
    """A hierarchy that can be seen: *root* is which of its cgroups is found at *point*."""

    version: int
    controllers: frozenset[str]
    root: str
    point: str


class CpuTimes(NamedTuple):
    """What a cgroup has used so far, in seconds, and how often its quota held it back."""

    usage: float
    periods: int
    throttled: int
    throttled_seconds: float


class CpuLevel(NamedTuple):
    """A cgroup that accounts for CPU time, and its own quota in CPUs."""

    version: int
    stat: str
    usage: str
    quota: float | None

    def read(self) -> CpuTimes | None:
        """Return its counters."""
        stat = read_table(self.stat)
        if self.version == 1:
            used = read_int(self.usage)
            unit, stalled = 1e-9, "throttled_time"
        else:
            used = None if stat is None else stat.get("usage_usec")
            unit, stalled = 1e-6, "throttled_usec"
        if used is None:
            return None
        stat = stat or {}
        return CpuTimes(
            used * unit,
            stat.get("nr_periods", 0),
            stat.get("nr_throttled", 0),
            stat.get(stalled, 0) * unit,
        )


class MemoryLevel(NamedTuple):
    """A cgroup that accounts for memory, and its own limit in bytes."""

    usage: str
    stat: str
    inactive: str
    limit: int | None

    def read(self) -> int | None:
        """Return its working set: what it uses, less the file cache that is given up first."""
        used = read_int(self.usage)
        if used is None:
            return None
        return max(used - (entry(read_text(self.stat), self.inactive) or 0), 0)


class Cgroup:
    """
    The files and limits that were found for this process; all of it is empty where there are none.

    Args:
        root: What the paths are below, without a slash at its end.

    Source: what counts as used is the working set of the kubelet and cAdvisor.
    """

    __slots__ = ("cpu", "cpu_pressure", "cpuset", "memory", "memory_pressure", "oom")

    def __init__(self, root: str) -> None:
        found = find_hierarchies(root)
        #: The innermost cgroup that accounts for it, then those above that have a limit.
        self.cpu = _cpu_levels(found)
        self.memory = _memory_levels(found)
        self.cpuset = _cpuset(found.get("cpuset"))
        self.cpu_pressure = _first(found.get("unified"), "cpu.pressure")
        self.memory_pressure = _first(found.get("unified"), "memory.pressure")
        name = "memory.events" if _version(found.get("memory")) == 2 else "memory.oom_control"
        self.oom = _first(found.get("memory"), name)

    @property
    def quota(self) -> float | None:
        """The lowest quota of all levels, in CPUs."""
        return min((level.quota for level in self.cpu if level.quota is not None), default=None)

    @property
    def memory_limit(self) -> int | None:
        """The lowest limit of all levels, in bytes."""
        return min((level.limit for level in self.memory if level.limit is not None), default=None)


def find_hierarchies(root: str) -> dict[str, Hierarchy]:
    """
    Return where this process is in the hierarchy of each controller.

    A controller of version 1 that is mounted wins; the others are in the one hierarchy of version
    2, which is also there by itself, as ``"unified"``.
    """
    paths = _own_paths(read_text(f"{root}/proc/self/cgroup") or "")
    mounts = _parse_mounts(read_text(f"{root}/proc/self/mountinfo") or "")
    found = {}
    for controller in ("", *_CONTROLLERS):
        hierarchy = _locate(root, controller, paths, mounts)
        if hierarchy is not None:
            found[controller or "unified"] = hierarchy
    return found


def _own_paths(text: str) -> dict[str, str]:
    """Read ``/proc/self/cgroup``: the cgroup for each controller, "" being version 2."""
    paths = {}
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, separator, path = rest.partition(":")
        if not separator or not path.startswith("/"):
            continue
        if controllers or number == "0":
            paths.update(dict.fromkeys(controllers.split(","), path))
    return paths


def _parse_mounts(text: str) -> list[_Mount]:
    """Read ``/proc/self/mountinfo``: the hierarchies that are mounted."""
    mounts = []
    for line in text.splitlines():
        where, _, what = line.partition(" - ")
        place, kind = where.split(" "), what.split(" ")
        if len(place) < 5 or kind[0] not in {"cgroup", "cgroup2"}:
            continue
        version = 2 if kind[0] == "cgroup2" else 1
        controllers = frozenset([""] if version == 2 else kind[-1].split(","))
        mounts.append(_Mount(version, controllers, _unescape(place[3]), _unescape(place[4])))
    return mounts


def _unescape(path: str) -> str:
    """Undo what the kernel does to blanks and backslashes in paths."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, character)
    return path


def _locate(
    root: str, controller: str, paths: dict[str, str], mounts: list[_Mount]
) -> Hierarchy | None:
    for name in dict.fromkeys((controller, "")):
        path = paths.get(name)
        candidates = [mount for mount in mounts if name in mount.controllers]
        if path is None or not candidates:
            continue
        # A part of the hierarchy may be mounted elsewhere too; the process is not in that.
        mount = next((each for each in candidates if _is_below(path, each.root)), candidates[0])
        return Hierarchy(mount.version, _levels(root, mount, path))
    return None


def _is_below(path: str, above: str) -> bool:
    return path == above or path.startswith(above.rstrip("/") + "/")


def _levels(root: str, mount: _Mount, path: str) -> tuple[str, ...]:
    # A container may see only its own cgroup, mounted as if it were the top, under a path that it
    # cannot see: then its own is the mount itself.
    below = path[len(mount.root.rstrip("/")) :] if _is_below(path, mount.root) else ""
    parts = [part for part in below.split("/") if part]
    if ".." in parts:  # moved out of what its namespace shows
        parts = []
    here = root + mount.point.rstrip("/")
    levels = [here]
    for part in parts:
        here = f"{here}/{part}"
        levels.append(here)
    return tuple(reversed(levels))


def _version(hierarchy: Hierarchy | None) -> int:
    return 0 if hierarchy is None else hierarchy.version


def _first(hierarchy: Hierarchy | None, name: str) -> str | None:
    """Return the path of the innermost file of that name that can be read."""
    for level in () if hierarchy is None else hierarchy.levels:
        path = f"{level}/{name}"
        if read_text(path) is not None:
            return path
    return None


def _cpu_levels(found: dict[str, Hierarchy]) -> tuple[CpuLevel, ...]:
    cpu = found.get("cpu") or found.get("cpuacct")
    accounts = found.get("cpuacct") or cpu
    if cpu is None or accounts is None:
        return ()
    if accounts.version != cpu.version or len(accounts.levels) != len(cpu.levels):
        accounts = cpu  # mounted apart in a way that does not tell which belong together
    levels: list[CpuLevel] = []
    accounted = False
    for place, account in zip(cpu.levels, accounts.levels, strict=True):
        quota = _quota(cpu.version, place)
        level = CpuLevel(cpu.version, f"{place}/cpu.stat", f"{account}/cpuacct.usage", quota)
        readable = level.read() is not None
        if quota is not None or (readable and not accounted):
            levels.append(level)
            accounted |= readable
    return tuple(levels)


def _quota(version: int, level: str) -> float | None:
    if version == 1:
        quota = read_int(f"{level}/cpu.cfs_quota_us")
        period = read_int(f"{level}/cpu.cfs_period_us")
    else:
        fields = (read_text(f"{level}/cpu.max") or "").split()
        quota, period = (*map(to_int, fields), None, None)[:2]
    period = _DEFAULT_PERIOD if period is None else period
    if quota is None or quota <= 0 or period <= 0:
        return None
    return quota / period


def _memory_levels(found: dict[str, Hierarchy]) -> tuple[MemoryLevel, ...]:
    hierarchy = found.get("memory")
    if hierarchy is None:
        return ()
    is_v1 = hierarchy.version == 1
    usage, inactive = (
        ("memory.usage_in_bytes", "total_inactive_file")
        if is_v1
        else ("memory.current", "inactive_file")
    )
    names = ("memory.limit_in_bytes",) if is_v1 else ("memory.max", "memory.high")
    levels: list[MemoryLevel] = []
    accounted = False
    for place in hierarchy.levels:
        limits = [_bytes(read_int(f"{place}/{name}")) for name in names]
        stat = f"{place}/memory.stat"
        if is_v1 and place is hierarchy.levels[0]:
            # What is set above the mount can be seen only here.
            limits.append(_bytes(entry(read_text(stat), "hierarchical_memory_limit")))
        limit = min((each for each in limits if each is not None), default=None)
        level = MemoryLevel(f"{place}/{usage}", stat, inactive, limit)
        readable = level.read() is not None
        if limit is not None or (readable and not accounted):
            levels.append(level)
            accounted |= readable
    return tuple(levels)


def _bytes(limit: int | None) -> int | None:
    return None if limit is None or not 0 < limit < _NO_LIMIT else limit


def _cpuset(hierarchy: Hierarchy | None) -> frozenset[int] | None:
    names = (
        ("cpuset.cpus.effective",)
        if _version(hierarchy) == 2
        else ("cpuset.effective_cpus", "cpuset.cpus")
    )
    for name in names:
        path = _first(hierarchy, name)
        cpus = None if path is None else parse_cpu_list(read_text(path))
        if cpus is not None:
            return cpus
    return None
