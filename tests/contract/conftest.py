"""Both backends, one contract."""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from tests.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "") not in {"", "0"}


BACKENDS = ["pure"] if _is_set("PENSTOCK_PURE") else ["native", "pure"]


def load_backend(name: str) -> ModuleType:
    """Import a backend; without the native one the contract is only half tested."""
    try:
        return import_module(f"penstock._{name}")
    except ImportError as error:
        if name == "pure" or _is_set("PENSTOCK_REQUIRE_NATIVE"):
            raise
        return pytest.skip(f"THE NATIVE BACKEND IS NOT TESTED: penstock._native: {error}")


@pytest.fixture(scope="session", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> ModuleType:
    """The module of one backend."""
    return load_backend(request.param)


@pytest.fixture
def clock() -> Clock:
    """A clock at zero."""
    return Clock()


@pytest.fixture
def taking_turns() -> Iterator[None]:
    """Let a thread run until it blocks, so that what happens in which order is certain."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture
def interleaving() -> Iterator[None]:
    """Let threads interrupt each other as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture
def eager_collector() -> Iterator[None]:
    """Let every allocation of a container start the garbage collector."""
    threshold = gc.get_threshold()
    gc.collect()
    gc.set_threshold(1, 1, 1)
    yield
    gc.set_threshold(*threshold)
