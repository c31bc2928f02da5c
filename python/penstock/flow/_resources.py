"""`Resources`: how much of the CPU and memory that this process may use is in use."""

from __future__ import annotations

import os
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Literal, NamedTuple

from penstock.flow._cgroup import Cgroup
from penstock.flow._checks import check_timer
from penstock.flow._host import Host
from penstock.flow._kernel_files import entry, read_pressure, read_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.flow._cgroup import CpuTimes
    from penstock.flow._host import HostTimes

__all__ = ["ResourceReading", "Resources", "effective_cpus"]

#: Seconds after which limits are read again: those of a container can be changed while it runs.
_LIMITS_LAST = 30.0

#: Two readings nearer than this measure the reading itself.
_SHORTEST = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceReading:
    """
    What is used of the resources that this process may use, at one moment.

    A figure is None where it cannot be known: the rates (*cpu*, *throttled*) in the first reading,
    others where the kernel does not tell them.

    Args:
        cpu: Share of *cpus* in use since the last reading. May exceed 1 where bursts are allowed.
        memory: Share in use of the limit that is nearest to being reached.
        cpus: CPUs that may be used, a fraction where a quota says so.
        memory_limit: Bytes, the lowest limit of all that apply; the RAM of the machine if there is
            no lower one.
        working_set: Bytes in use that cannot be given back at once, by the cgroup of the process;
            by the machine where there is no cgroup.
        throttled: Share of the periods since the last reading in which the quota was used up.
        throttled_seconds: For how long that has held the cgroup back, since it was made.
        cpu_pressure: Share of the last 10 s in which something waited for a CPU.
        memory_pressure: Share of the last 10 s in which something waited for memory.
        oom_kills: Processes of the cgroup that were killed for want of memory, since it was made.
        source: ``"cgroup"``, ``"host"`` where there is no cgroup, or ``"none"`` where nothing can
            be read.
    """

    cpu: float | None = None
    memory: float | None = None
    cpus: float | None = None
    memory_limit: int | None = None
    working_set: int | None = None
    throttled: float | None = None
    throttled_seconds: float | None = None
    cpu_pressure: float | None = None
    memory_pressure: float | None = None
    oom_kills: int | None = None
    source: Literal["cgroup", "host", "none"] = "none"


class _Layout:
    """What is looked up now and then: limits, and where the figures are."""

    __slots__ = (
        "at", "capacities", "cgroup", "cpu_pressure", "cpus", "is_whole", "memory_limit",
        "memory_pressure", "ram",
    )  # fmt: skip

    def __init__(self, root: str, host: Host, at: float) -> None:
        self.at = at
        self.cgroup = cgroup = Cgroup(root)
        online = host.online()
        usable = _common(host.allowed(), online, cgroup.cpuset)
        count = len(usable) if usable else host.count()
        self.cpus = _least(cgroup.quota, count)
        #: How many CPUs each level has. The first answers for whatever limits it.
        self.capacities = {level.stat: _least(level.quota, count) for level in cgroup.cpu}
        for level in cgroup.cpu[:1]:
            self.capacities[level.stat] = self.cpus
        #: Nothing keeps this process from the whole machine, nor others from using it up.
        self.is_whole = cgroup.quota is None and (usable == online or not online or not usable)
        memory = host.memory()
        self.ram = None if memory is None else memory.total
        self.memory_limit = _lower(cgroup.memory_limit, self.ram)
        self.cpu_pressure = cgroup.cpu_pressure or f"{root}/proc/pressure/cpu"
        self.memory_pressure = cgroup.memory_pressure or f"{root}/proc/pressure/memory"


class _Sample(NamedTuple):
    """Counters at one moment, and the rates they gave."""

    at: float
    layout: _Layout
    levels: dict[str, CpuTimes]
    host: HostTimes | None
    cpu: float | None
    throttled: float | None


class Resources:
    """
    Measures CPU and memory as the container sees them: its limits, not those of the machine.

    Each object measures rates since its own last reading. Where no limit is in force, the figures
    are those of the whole machine.

    Args:
        root: Where ``/proc`` and ``/sys`` are, for tests. What is not found there is asked of
            psutil.
        timer: Seconds on a clock of your own, for tests.

    Raises:
        TypeError: *timer* cannot be called, or *root* is no path.

    Cost: a reading opens half a dozen small files, 50 to 100 us. Limits and paths are looked up at
        the first reading and every 30 s. Any thread; threads that share an object share its rates.

    Source: the working set of the kubelet and cAdvisor; Pressure Stall Information of Linux.
    """

    __slots__ = ("__weakref__", "_host", "_last", "_root", "_timer")

    def __init__(
        self,
        *,
        root: str | os.PathLike[str] = "/",
        timer: Callable[[], float] | None = None,
    ) -> None:
        check_timer(timer)
        self._root = os.fspath(root).rstrip("/")
        self._timer = monotonic if timer is None else timer
        self._host = Host(self._root)
        # Replaced as a whole: a lock could be held for ever after a fork.
        self._last: _Sample | None = None

    def read(self) -> ResourceReading:
        """
        Read what is in use now.

        Returns:
            A reading; what cannot be read is None in it.
        """
        sample = self._sample()
        layout = sample.layout
        cgroup = layout.cgroup
        working_set, memory = self._memory(layout)
        stalls = [times.throttled_seconds for times in sample.levels.values()]
        oom = None if cgroup.oom is None else entry(read_text(cgroup.oom), "oom_kill")
        is_of_host = any(each is not None for each in (sample.host, layout.ram, layout.cpus))
        return ResourceReading(
            cpu=sample.cpu,
            memory=memory,
            cpus=layout.cpus,
            memory_limit=layout.memory_limit,
            working_set=working_set,
            throttled=sample.throttled,
            throttled_seconds=max(stalls, default=None),
            cpu_pressure=read_pressure(layout.cpu_pressure),
            memory_pressure=read_pressure(layout.memory_pressure),
            oom_kills=oom,
            source="cgroup" if cgroup.cpu or cgroup.memory else "host" if is_of_host else "none",
        )

    def _sample(self) -> _Sample:
        now, last = self._timer(), self._last
        if last is not None and 0.0 <= now - last.at < _SHORTEST:
            return last
        layout = None if last is None else last.layout
        if layout is None or not 0.0 <= now - layout.at < _LIMITS_LAST:
            layout = _Layout(self._root, self._host, now)
        times = {level.stat: level.read() for level in layout.cgroup.cpu}
        levels = {stat: read for stat, read in times.items() if read is not None}
        host = self._host.times() if layout.is_whole or not levels else None
        cpu = throttled = None
        if last is not None and now > last.at:  # a clock that went back starts anew
            cpu = _busy(last.host, host)
            if cpu is None:
                cpu = _used(last.levels, levels, layout.capacities, now - last.at)
            throttled = _throttled(last.levels, levels)
        self._last = sample = _Sample(now, layout, levels, host, cpu, throttled)
        return sample

    def _memory(self, layout: _Layout) -> tuple[int | None, float | None]:
        """Return the working set, and the share in use of the fullest level."""
        own, shares = None, []
        for level in layout.cgroup.memory:
            used, limit = level.read(), level.limit
            if used is None:
                continue
            own = used if own is None else own
            # More than the machine has is no limit.
            if limit is not None and (layout.ram is None or limit < layout.ram):
                shares.append(used / limit)
        if own is not None and shares:
            return own, max(shares)
        machine = self._host.memory()
        if machine is None:
            return own, None
        used = machine.total - machine.available
        return used if own is None else own, used / machine.total


def effective_cpus(*, root: str | os.PathLike[str] = "/") -> float:
    """
    Return how many CPUs this process may use: the quota of its cgroup, its cpuset and affinity.

    Args:
        root: Where ``/proc`` and ``/sys`` are, for tests.

    Returns:
        A fraction where the quota is one; 1.0 where nothing is known.

    Cost: reads the limits anew, about 1 ms.
    """
    base = os.fspath(root).rstrip("/")
    return _Layout(base, Host(base), 0.0).cpus or 1.0


def _common(*sets: frozenset[int] | None) -> frozenset[int]:
    """Return what is in all sets that are known."""
    known = [each for each in sets if each is not None]
    return frozenset.intersection(*known) if known else frozenset()


def _least(quota: float | None, count: int | None) -> float | None:
    if quota is None:
        return None if count is None else float(count)
    return quota if count is None else min(quota, float(count))


def _lower(limit: int | None, ram: int | None) -> int | None:
    return ram if limit is None else limit if ram is None else min(limit, ram)


def _busy(before: HostTimes | None, after: HostTimes | None) -> float | None:
    """Return the share of all CPU time that was spent working."""
    if before is None or after is None:
        return None
    busy, total = after.busy - before.busy, after.total - before.total
    return busy / total if 0 <= busy <= total > 0 else None


def _used(
    before: dict[str, CpuTimes],
    after: dict[str, CpuTimes],
    capacities: dict[str, float | None],
    seconds: float,
) -> float | None:
    """Return the share in use of the fullest level."""
    shares = []
    for level, times in after.items():
        capacity, first = capacities[level], before.get(level)
        # A container that was restored starts to count anew.
        if capacity and first is not None and times.usage >= first.usage:
            shares.append((times.usage - first.usage) / seconds / capacity)
    return max(shares, default=None)


def _throttled(before: dict[str, CpuTimes], after: dict[str, CpuTimes]) -> float | None:
    """Return the share of periods in which a quota was used up, of the level where it is most."""
    shares = []
    for level, times in after.items():
        if (first := before.get(level)) is None:
            continue
        periods, throttled = times.periods - first.periods, times.throttled - first.throttled
        if 0 <= throttled <= periods:
            shares.append(throttled / periods if periods else 0.0)
    return max(shares, default=None)
