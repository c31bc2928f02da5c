"""Names of a package that are imported when they are first asked for."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["lazy"]


def lazy(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """
    Return the ``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: Its name.
        homes: The module of each name.
    """
    names = vars(sys.modules[package])

    def getattribute(name: str) -> object:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(import_module(home), name)
        names[name] = value
        return value

    def directory() -> list[str]:
        return sorted({*names, *homes})

    return getattribute, directory
