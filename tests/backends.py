"""Which backends there are to test."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from penstock.errors import RecursiveLoad

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["BACKENDS", "load_backend"]


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "") not in {"", "0"}


BACKENDS = ["pure"] if _is_set("PENSTOCK_PURE") else ["native", "pure"]


def load_backend(name: str) -> ModuleType:
    """Import a backend; without the native one only half of the contract is tested."""
    try:
        backend = import_module(f"penstock._{name}")
    except ImportError as error:
        if name == "pure" or _is_set("PENSTOCK_REQUIRE_NATIVE"):
            raise
        return pytest.skip(f"THE NATIVE BACKEND IS NOT TESTED: {error}", allow_module_level=True)
    # As penstock.caching does for the backend it picks.
    backend.set_recursive_load(RecursiveLoad)
    return backend
