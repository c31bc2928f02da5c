"""CPU and memory of the machine, for where no cgroup says less."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from penstock.flow._kernel_files import entry, parse_cpu_list, read_text, to_int

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Host", "HostMemory", "HostTimes"]

T = TypeVar("T")


class HostTimes(NamedTuple):
    """CPU time of all CPUs since the machine was started, in units that do not matter."""

    busy: float
    total: float


class HostMemory(NamedTuple):
    """Bytes of memory, and how many of them can be had without swapping."""

    total: int
    available: int


class Host:
    """
    What ``/proc`` and ``/sys`` tell of the machine, or psutil where they do not exist.

    Args:
        root: What the paths are below, without a slash at its end.
    """

    __slots__ = ("_root",)

    def __init__(self, root: str) -> None:
        self._root = root

    def times(self) -> HostTimes | None:
        """Return the CPU time so far."""
        fields = (read_text(f"{self._root}/proc/stat") or "").partition("\n")[0].split()
        if len(fields) >= 5 and fields[0] == "cpu":
            # user nice system idle iowait irq softirq steal; what follows is in user and nice.
            times = [to_int(field) for field in fields[1:9]]
            known = [time for time in times if time is not None]
            if len(known) == len(times):
                return HostTimes(sum(known) - sum(known[3:5]), sum(known))
        return _ask(_times_of_psutil)

    def memory(self) -> HostMemory | None:
        """Return the memory there is."""
        text = read_text(f"{self._root}/proc/meminfo")
        total, available = entry(text, "MemTotal:"), entry(text, "MemAvailable:")
        if total is not None and available is not None and 0 <= available <= total > 0:
            return HostMemory(total << 10, available << 10)
        return _ask(_memory_of_psutil)

    def online(self) -> frozenset[int] | None:
        """Return the CPUs that run."""
        return parse_cpu_list(read_text(f"{self._root}/sys/devices/system/cpu/online"))

    def allowed(self) -> frozenset[int] | None:
        """Return the CPUs that this process may run on."""
        status = read_text(f"{self._root}/proc/self/status") or ""
        _, _, rest = status.partition("\nCpus_allowed_list:")
        return parse_cpu_list(rest.partition("\n")[0])

    def count(self) -> int | None:
        """Return how many CPUs there are, where nothing says which."""
        return _ask(_count_of_psutil) or os.cpu_count()


def _ask(question: Callable[[], T]) -> T | None:
    """Ask psutil, which may be missing, and raises all sorts of errors where it finds nothing."""
    try:
        return question()
    except Exception:
        return None


def _times_of_psutil() -> HostTimes:
    import psutil

    # Not cpu_percent(): what that measures since is shared with everybody who calls it.
    times = psutil.cpu_times()._asdict()
    idle = times.get("idle", 0.0) + times.get("iowait", 0.0)
    total = sum(times.values()) - times.get("guest", 0.0) - times.get("guest_nice", 0.0)
    return HostTimes(total - idle, total)


def _memory_of_psutil() -> HostMemory:
    import psutil

    memory = psutil.virtual_memory()
    return HostMemory(memory.total, memory.available)


def _count_of_psutil() -> int | None:
    import psutil

    return psutil.cpu_count()
