"""Reading the small text files in which the kernel tells its figures; what is wrong is None."""

from __future__ import annotations

import os

__all__ = [
    "entry",
    "parse_cpu_list",
    "read_int",
    "read_pressure",
    "read_table",
    "read_text",
    "to_int",
]

_CHUNK = 1 << 16

#: More than any machine has, so that nonsense does not become a set of that size.
_MOST_CPUS = 1 << 16


def read_text(path: str) -> str | None:
    """Return what a file holds, None if it cannot be read."""
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except (OSError, ValueError):  # ValueError: a path with a zero in it
        return None
    try:
        data = read = os.read(file, _CHUNK)
        while read:
            read = os.read(file, _CHUNK)
            data += read
    except OSError:
        return None
    finally:
        os.close(file)
    return data.decode("utf-8", "replace")


def read_int(path: str) -> int | None:
    """Return the number that a file holds."""
    text = read_text(path)
    return None if text is None else to_int(text)


def read_table(path: str) -> dict[str, int] | None:
    """Return the numbers of a file with lines of ``name number``; other lines are left out."""
    text = read_text(path)
    if text is None:
        return None
    table = {}
    for line in text.splitlines():
        name, _, number = line.partition(" ")
        value = to_int(number)
        if value is not None:
            table[name] = value
    return table


def entry(text: str | None, name: str) -> int | None:
    """
    Return the number in the line of *text* that begins with *name*.

    This is for long files of which one line counts: most of a reading would be spent on the rest.
    """
    if text is None:
        return None
    _, found, rest = f"\n{text}".partition(f"\n{name} ")
    fields = rest.partition("\n")[0].split()
    return to_int(fields[0]) if found and fields else None


def read_pressure(path: str) -> float | None:
    """Return the share of the last 10 s in which some task had to wait, from a PSI file."""
    text = read_text(path)
    if text is None:
        return None
    fields = text.partition("\n")[0].split()
    if len(fields) < 2 or fields[0] != "some" or not fields[1].startswith("avg10="):
        return None
    try:
        percent = float(fields[1].removeprefix("avg10="))
    except ValueError:
        return None
    return percent / 100.0 if 0.0 <= percent <= 100.0 else None


def parse_cpu_list(text: str | None) -> frozenset[int] | None:
    """Return the CPUs of a list like ``0-3,8``; None if there are none in it."""
    cpus: set[int] = set()
    for part in (text or "").strip().split(","):
        first, dash, last = part.partition("-")
        low = to_int(first)
        high = to_int(last) if dash else low
        if low is None or high is None or not 0 <= low <= high < _MOST_CPUS:
            return None
        cpus.update(range(low, high + 1))
    return frozenset(cpus)


def to_int(text: str) -> int | None:
    """Return the number that a text says."""
    try:
        return int(text)
    except ValueError:
        return None
