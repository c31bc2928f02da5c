"""Named batchers, loaders, pools, recorders and files are among the metrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

import penstock.metrics  # noqa: F401  # shows what is named
from penstock import Batcher, FileCache, FileWriter, Loader, Recorder, SqlitePool
from penstock._components import Tracked, stats_of


def _answer(items: list[int]) -> list[int]:
    return items


MAKERS: dict[str, Callable[[Path, str], Tracked]] = {
    "batcher": lambda path, name: Batcher(_answer, name=name),
    "loader": lambda path, name: Loader(_answer, name=name),
    "sqlite_pool": lambda path, name: SqlitePool(path / "a.db", name=name),
    "recorder": lambda path, name: Recorder(path / "b.db", "rows", {"ts": "REAL"}, name=name),
    "file_writer": lambda path, name: FileWriter(name=name),
    "file_cache": lambda path, name: FileCache(name=name),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_every_figure_of_a_named_component_is_shown(kind: str, tmp_path: Path) -> None:
    name = f"tracked {kind}"
    component = MAKERS[kind](tmp_path, name)
    known, stats = stats_of(component)
    assert known.name == kind
    for field in known.fields:
        suffix = "_total" if field.type == "counter" else ""
        shown = REGISTRY.get_sample_value(
            f"penstock_{kind}_{field.attribute}{suffix}", {"name": name}
        )
        value = getattr(stats, field.attribute)
        assert shown == (None if value is None else float(value))


@pytest.mark.parametrize("kind", MAKERS)
def test_every_figure_is_in_the_statistics(kind: str, tmp_path: Path) -> None:
    known, stats = stats_of(MAKERS[kind](tmp_path, "for its fields"))
    own = set(getattr(type(stats), "_fields", None) or type(stats).__slots__)
    assert own == {field.attribute for field in known.fields}


@pytest.mark.parametrize("kind", MAKERS)
def test_one_without_a_name_is_not_shown(kind: str, tmp_path: Path) -> None:
    make = MAKERS[kind]
    with pytest.raises(TypeError, match="name must be a str"):
        make(tmp_path, 5)  # type: ignore[arg-type]
    assert MAKERS[kind](tmp_path, "") is not None
    assert REGISTRY.get_sample_value(f"penstock_{kind}_pending", {"name": ""}) is None
