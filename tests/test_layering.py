"""The floors of the house: an import may only point down."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import penstock

SOURCE = Path(penstock.__file__).parent

FLOORS = {
    "_lazy": 0,  # how packages of any floor import their names
    "_native": 1, "_pure": 1,
    "_backend": 2,
    "errors": 3, "_types": 3, "_clock": 3, "_components": 3, "json": 3,
    "_copies": 3, "_forks": 3,
    "_waiters": 3.1,  # a leaf but for the errors that it raises
    "metrics": 4,
    "flow": 5,
    "batching": 6, "files": 6,
    "pools": 6.1,  # they gather what concurrent callers ask for
    "recording": 6.2,  # a batcher in front of a pool
    "stores": 6.3,  # batches in front of connections
    "caching": 7, "queues": 7,
    "monitor": 8, "settings": 8,
    "demo": 9, "bench": 9,
    "cli": 9.1, "__main__": 9.2,  # on the top floor too, but it opens the doors of the others
}  # fmt: skip


def room_of(path: Path) -> str:
    """The first part of a module's name below penstock."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py").removesuffix(".pyi")


def imported_rooms(path: Path) -> set[str]:
    """The rooms that a file imports from, type-checking imports among them."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        rooms |= {name.split(".")[1] for name in names if name.startswith("penstock.")}
    return {room for room in rooms if room in FLOORS or (SOURCE / room).exists()}


def upward(path: Path) -> list[str]:
    """The imports of a file that do not point down."""
    here = room_of(path)
    return [
        f"{path.relative_to(SOURCE)} imports {there}"
        for there in sorted(imported_rooms(path) - {here})
        if FLOORS[there] >= FLOORS[here]
    ]


def modules() -> list[Path]:
    return [path for path in SOURCE.rglob("*.py*") if path.suffix in {".py", ".pyi"}]


def test_every_module_has_a_floor() -> None:
    rooms = {room_of(path) for path in modules()} - {"__init__"}
    assert rooms <= FLOORS.keys()


def test_imports_point_down() -> None:
    arrows = [arrow for path in modules() if room_of(path) != "__init__" for arrow in upward(path)]
    assert arrows == []


def test_an_upward_import_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FLOORS, "errors", FLOORS["caching"])
    assert "caching/_async.py imports errors" in upward(SOURCE / "caching" / "_async.py")


def test_only_the_backend_imports_a_backend() -> None:
    importers = {room_of(path) for path in modules() if imported_rooms(path) & {"_native", "_pure"}}
    assert importers <= {"_backend", "_pure", "_native", "bench"}


def test_no_module_is_too_long() -> None:
    too_long = {
        str(path.relative_to(SOURCE)): lines
        for path in modules()
        # One module has one stub.
        if path.suffix == ".py" and (lines := len(path.read_text().splitlines())) > 400
    }
    assert too_long == {}
