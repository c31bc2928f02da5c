"""Makes the subject of a contender: checks that it is installed, picks its backend, builds it."""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import contextmanager
from importlib import metadata
from typing import TYPE_CHECKING, Final

from penstock.bench._model import Backend, BenchError, Contender, Outcome, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import ModuleType

__all__ = [
    "MissingError",
    "build",
    "check_installed",
    "distributions",
    "each",
    "load_backend",
    "refuse_debug_build",
]


_SWITCHES: Final = ("PENSTOCK_PURE", "PENSTOCK_REQUIRE_NATIVE")
# What contenders reach by way of the package, and importing it alone does not load.
_ROOMS: Final = (
    "penstock.metrics",
    "penstock.flow",
    "penstock.batching",
    "penstock.files",
    "penstock.pools",
    "penstock.recording",
    "penstock.stores",
    "penstock.caching",
)


class MissingError(Exception):
    """A contender cannot take part because something is not installed; the text says what."""


def _version_of(distribution: str) -> str | None:
    """Return the installed version of *distribution*, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def refuse_debug_build(package: ModuleType) -> None:
    """
    Check that the extension was built with optimisations.

    Raises:
        BenchError: It is a debug build: its figures would say nothing.
    """
    if package.BACKEND != "native":
        return
    profile = package.build_info()["profile"]
    if profile == "debug":
        msg = "penstock's extension is a debug build: build it with --release before measuring"
        raise BenchError(msg)


_pure: ModuleType | None = None


def load_backend(backend: Backend) -> ModuleType:
    """
    Return the package ``penstock`` running on *backend*, with all that its contenders need.

    Raises:
        MissingError: The extension is not built, or switched off by PENSTOCK_PURE.
    """
    global _pure  # noqa: PLW0603 - one second copy per process
    package = importlib.import_module("penstock")
    if backend == package.BACKEND:
        for room in _ROOMS:
            importlib.import_module(room)
        return package
    if backend == "native":
        reason = "PENSTOCK_PURE is set" if os.environ.get("PENSTOCK_PURE") else "not built"
        msg = f"penstock's native extension: {reason}"
        raise MissingError(msg)
    if _pure is None:
        _pure = _second_copy()
    return _pure


def _second_copy() -> ModuleType:
    """
    Import penstock once more, on the twin, without touching the copy in use.

    Only so can both backends take turns in one process through the public API.
    """
    ours = {name: module for name, module in sys.modules.items() if _is_penstock(name)}
    environment = {name: os.environ.pop(name, None) for name in _SWITCHES}
    for name in ours:
        del sys.modules[name]
    os.environ["PENSTOCK_PURE"] = "1"
    try:
        with _registry_of_its_own():
            package = importlib.import_module("penstock")
            for module in (package, *map(importlib.import_module, _ROOMS)):
                for public in module.__all__:
                    getattr(module, public)  # lazy: resolved while this copy is the importable one
        return package
    finally:
        del os.environ["PENSTOCK_PURE"]
        os.environ.update({k: v for k, v in environment.items() if v is not None})
        for name in [name for name in sys.modules if _is_penstock(name)]:
            del sys.modules[name]
        sys.modules.update(ours)


@contextmanager
def _registry_of_its_own() -> Iterator[None]:
    """Keep prometheus_client's registry from meeting the collectors of a second copy."""
    package = importlib.import_module("prometheus_client")
    homes = (vars(package), vars(package.registry))
    registry, alone = package.REGISTRY, package.CollectorRegistry()
    for home in homes:
        home["REGISTRY"] = alone
    try:
        yield
    finally:
        for home in homes:
            home["REGISTRY"] = registry


def _is_penstock(module: str) -> bool:
    return module == "penstock" or module.startswith("penstock.")


def check_installed(contender: Contender) -> None:
    """
    Check, without importing anything, that a contender can be built.

    Raises:
        MissingError: Its distribution or its backend is not there.
    """
    if contender.needs is not None and _version_of(contender.needs) is None:
        msg = f"{contender.needs} is not installed"
        raise MissingError(msg)
    if contender.backend == "native":
        load_backend("native")


def build(contender: Contender, **given: object) -> dict[str, object]:
    """
    Run the contender's ``make`` and return its namespace.

    Raises:
        MissingError: The distribution or the backend is not there.
    """
    check_installed(contender)
    namespace = dict(given)
    if contender.backend is not None:
        namespace["penstock"] = load_backend(contender.backend)
    exec(contender.make, namespace)  # the text comes from the contenders
    return namespace


def each(
    contenders: Iterable[Contender], row: Row, outcome: Outcome, act: Callable[[Contender], None]
) -> None:
    """Call *act* for each; who is missing, or fails in *row*, is written down in *outcome*."""
    for contender in contenders:
        try:
            act(contender)
        except MissingError as error:
            outcome.skipped[contender.name] = str(error)
        except Exception as error:  # one broken peer must not end the run
            failure = f"{type(error).__name__}: {error}"
            outcome.failed[f"{contender.name} ({row.name})"] = failure


def distributions(contenders: Sequence[Contender]) -> dict[str, str | None]:
    """Return the version of every distribution the contenders come from; None: not installed."""
    names = sorted({c.needs for c in contenders if c.needs is not None})
    return {name: _version_of(name) for name in names}
