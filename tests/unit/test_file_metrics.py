"""Every figure of a file writer and of a file cache is among the metrics."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import pytest
from prometheus_client import REGISTRY

import penstock.metrics  # noqa: F401  # it shows them
from penstock import FileCache, FileWriter
from penstock.files import FileCacheStats, FileWriterStats
from penstock.files._families import CACHE_FIELDS, WRITER_FIELDS

if TYPE_CHECKING:
    from penstock.files._families import Fields

KINDS = {
    "file_writer": (FileWriter, FileWriterStats, WRITER_FIELDS),
    "file_cache": (FileCache, FileCacheStats, CACHE_FIELDS),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_is_shown(kind: str) -> None:
    make, stats_class, described = KINDS[kind]
    component = make(name=f"shown {kind}")
    shown: Fields = described
    assert {name for name, _, _ in shown} == {field.name for field in fields(stats_class)}
    for attribute, type_, _ in shown:
        name = f"penstock_{kind}_{attribute}{'_total' if type_ == 'counter' else ''}"
        value = REGISTRY.get_sample_value(name, {"name": f"shown {kind}"})
        assert value == float(getattr(component.stats(), attribute))
