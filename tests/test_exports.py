"""What can be imported: names, docstrings, and what an import brings along."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import penstock

if TYPE_CHECKING:
    from types import ModuleType

PACKAGE = Path(penstock.__file__).parent
ROOT = Path(__file__).parents[1]

#: What a service that only imports penstock must not pay for.
HEAVY = {"asyncio", "uvicorn", "aiohttp", "starlette", "orjson", "concurrent.futures", "logging"}


def modules() -> list[str]:
    """Every module that can be imported without running a program."""
    found = pkgutil.walk_packages(penstock.__path__, "penstock.")
    names = [module.name for module in found if module.name.rpartition(".")[2] != "__main__"]
    return ["penstock", *(name for name in names if name != "penstock._native")]


def is_public(module: str) -> bool:
    return not any(part.startswith("_") for part in module.split("."))


PUBLIC = [name for name in modules() if is_public(name)]


def order(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest, each by name: the order that the linter wants."""
    if name.isupper() and len(name) > 1:
        return (0, name)
    return (1 if name[:1].isupper() else 2, name)


def run(
    code: str, *, path: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    env |= environment
    if path is not None:
        env["PYTHONPATH"] = str(path)
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", code],
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def printed(code: str, *, path: Path | None = None, **environment: str) -> str:
    """Run code that has to succeed; what it printed."""
    child = run(code, path=path, **environment)
    assert child.returncode == 0, child.stderr
    return child.stdout.strip()


def this_backend() -> dict[str, str]:
    """The environment that selects the backend under test."""
    return {"PENSTOCK_PURE": "1" if penstock.BACKEND == "pure" else "0"}


def documented(module: ModuleType) -> list[tuple[str, object]]:
    """The classes and functions that a module exports."""
    things = [(name, getattr(module, name)) for name in module.__all__]
    return [(name, thing) for name, thing in things if inspect.isclass(thing) or callable(thing)]


@pytest.mark.parametrize("name", modules())
def test_exports_are_sorted_and_there(name: str) -> None:
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", None)
    if exported is None:
        assert not is_public(name), "a public module says what it exports"
        return
    assert list(exported) == sorted(set(exported), key=order)
    missing = [export for export in exported if not hasattr(module, export)]
    assert missing == []


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_have_docstrings(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    bare = [export for export, thing in documented(module) if not inspect.getdoc(thing)]
    assert bare == []


# The programs (bench, demo, cli) are used from the command line; these are used from code.
@pytest.mark.parametrize(
    "name",
    [
        "penstock",
        "penstock.batching",
        "penstock.caching",
        "penstock.errors",
        "penstock.files",
        "penstock.flow",
        "penstock.json",
        "penstock.pools",
        "penstock.recording",
        "penstock.stores",
    ],
)
def test_public_attributes_of_public_classes_are_documented(name: str) -> None:
    bare = []
    for export, thing in documented(importlib.import_module(name)):
        if not inspect.isclass(thing):
            continue
        for attribute in dir(thing):
            if attribute.startswith("_") or attribute in dir(OSError):
                continue
            own = inspect.getdoc(inspect.getattr_static(thing, attribute))
            if not own and attribute not in (inspect.getdoc(thing) or ""):
                bare.append(f"{export}.{attribute}")
    assert bare == []


@pytest.mark.parametrize("name", ["Cache", "CacheStats", "Memo", "Ready"])
def test_twins_begin_their_docstrings_alike(name: str) -> None:
    native = pytest.importorskip("penstock._native", exc_type=ImportError)
    pure = importlib.import_module("penstock._pure")
    one, other = (inspect.getdoc(getattr(module, name)) or "" for module in (native, pure))
    assert one.splitlines()[:1] == other.splitlines()[:1] != []


def test_classes_say_where_they_can_be_imported_from() -> None:
    for name in ("Cache", "CacheStats", "PenstockError", "RecursiveLoad"):
        thing = getattr(penstock, name)
        assert thing.__qualname__ == name
        home = importlib.import_module(thing.__module__)
        assert getattr(home, name) is thing


def test_import_brings_nothing_heavy_along() -> None:
    code = "import penstock, sys; print(*sys.modules)"
    loaded = set(printed(code, **this_backend()).split())
    assert "penstock" in loaded
    assert loaded & HEAVY == set()
    assert "penstock.caching" not in loaded


def test_caching_an_ordinary_function_brings_no_event_loop_along() -> None:
    code = "from penstock import cached; import sys; cached(len)('abc'); print(*sys.modules)"
    loaded = set(printed(code, **this_backend()).split())
    assert loaded & (HEAVY - {"logging"}) == set()


def test_every_lazy_name_can_be_had_first() -> None:
    for name in penstock.__all__:
        code = f"import penstock; print(type(penstock.{name}).__name__)"
        assert printed(code, **this_backend()) == type(getattr(penstock, name)).__name__


def test_star_import_gives_every_public_name() -> None:
    code = "from penstock import *; print(*sorted(set(globals()) - {'__builtins__'}))"
    names = set(printed(code, **this_backend()).split())
    assert set(penstock.__all__) <= names


def test_lazy_names_are_those_of_their_modules() -> None:
    caching = importlib.import_module("penstock.caching")
    errors = importlib.import_module("penstock.errors")
    assert penstock.Cache is caching.Cache
    assert penstock.CacheStats is caching.CacheStats
    assert penstock.cached is caching.cached
    assert penstock.PenstockError is errors.PenstockError
    assert penstock.RecursiveLoad is errors.RecursiveLoad


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'penstock' has no attribute 'nonsense'"):
        penstock.nonsense
    with pytest.raises(ImportError, match="nonsense"):
        from penstock import nonsense  # noqa: F401
    assert not hasattr(penstock, "nonsense")


def test_dir_lists_what_there_is_and_what_is_lazy() -> None:
    names = dir(penstock)
    assert names == sorted(names)
    assert set(penstock.__all__) <= set(names)
    code = "import penstock; print('cached' in dir(penstock), 'cached' in vars(penstock))"
    assert printed(code, **this_backend()) == "True False"


def test_version_is_that_of_the_crates() -> None:
    manifest = ROOT / "Cargo.toml"
    version = tomllib.loads(manifest.read_text())["workspace"]["package"]["version"]
    assert penstock.__version__ == version
    assert penstock.build_info()["version"] == version


class TestChoiceOfTheBackend:
    """With a copy of the package whose extension is what the test says."""

    DEBUG = (
        "from penstock._pure import *\n"
        "def build_info(): return {'version': '0', 'profile': 'PROFILE', 'abi3': False}\n"
    )

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """Where a copy of the package is, without its extension."""
        ignored = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__", "bench", "demo")
        shutil.copytree(PACKAGE, tmp_path / "penstock", ignore=ignored)
        return tmp_path

    def give_extension(self, path: Path, code: str) -> None:
        """Put Python code in the place of the extension."""
        (path / "penstock" / "_native.py").write_text(code)

    def backend(self, path: Path, **environment: str) -> str:
        code = "import penstock; print(penstock.BACKEND, penstock.cached(len)('abc'))"
        return printed(code, path=path, **environment)

    def test_missing_extension_is_replaced_by_the_twin(self, path: Path) -> None:
        assert self.backend(path) == "pure 3"

    def test_broken_extension_is_replaced_by_the_twin(self, path: Path) -> None:
        self.give_extension(path, "raise ImportError('undefined symbol: Py_Nonsense')")
        assert self.backend(path) == "pure 3"

    def test_error_in_an_extension_that_loads_is_not_hidden(self, path: Path) -> None:
        self.give_extension(path, "raise ValueError('a bug')")
        child = run("import penstock", path=path)
        assert child.returncode == 1
        assert "ValueError: a bug" in child.stderr

    @pytest.mark.parametrize("code", [None, "raise ImportError('undefined symbol: Py_Nonsense')"])
    def test_required_extension_that_does_not_load_is_an_error(
        self, path: Path, code: str | None
    ) -> None:
        if code is not None:
            self.give_extension(path, code)
        child = run("import penstock", path=path, PENSTOCK_REQUIRE_NATIVE="1")
        assert child.returncode == 1
        message = "ImportError: PENSTOCK_REQUIRE_NATIVE is set, but the extension does not load: "
        assert message in child.stderr
        assert ("undefined symbol: Py_Nonsense" in child.stderr) is (code is not None)

    def test_twin_that_is_asked_for_wins(self, path: Path) -> None:
        self.give_extension(path, self.DEBUG.replace("PROFILE", "release"))
        assert self.backend(path, PENSTOCK_PURE="1") == "pure 3"
        assert self.backend(path, PENSTOCK_PURE="1", PENSTOCK_REQUIRE_NATIVE="1") == "pure 3"

    @pytest.mark.parametrize("unset", ["", "0"])
    def test_empty_and_zero_count_as_not_set(self, path: Path, unset: str) -> None:
        assert self.backend(path, PENSTOCK_REQUIRE_NATIVE=unset) == "pure 3"
        self.give_extension(path, self.DEBUG.replace("PROFILE", "release"))
        assert self.backend(path, PENSTOCK_PURE=unset) == "native 3"

    def test_debug_build_warns_at_import(self, path: Path) -> None:
        self.give_extension(path, self.DEBUG.replace("PROFILE", "debug"))
        child = run("import penstock", path=path)
        assert child.returncode == 0
        assert "RuntimeWarning: penstock's extension is a debug build" in child.stderr
        assert run("import penstock", path=path, PENSTOCK_PURE="1").stderr == ""

    def test_release_build_says_nothing(self, path: Path) -> None:
        self.give_extension(path, self.DEBUG.replace("PROFILE", "release"))
        assert run("import penstock", path=path).stderr == ""
