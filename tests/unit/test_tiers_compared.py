"""Every "yes" of the comparison leads to a test that is there, and so do the guarantees."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tiers-compared.md"
PAGES = [PAGE, ROOT / "docs" / "tiers.md"]
_LINK = re.compile(r"\[([^\]]+)\]\(\.\./(tests/[^)#]+)(?:#(\w+))?\)")


def rows() -> list[list[str]]:
    """The cells of each line of the table that has a feature."""
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return [row for row in cells if not row[0].startswith("**")]


def features() -> list[object]:
    return [pytest.param(row[1], id=row[0]) for row in rows()]


@cache
def names_in(path: str) -> frozenset[str]:
    """The names of the tests in a file."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def test_each_line_says_something_of_everybody() -> None:
    assert len(rows()) > 40
    assert {len(row) for row in rows()} == {6}
    assert all(row[1] for row in rows())


@pytest.mark.parametrize("ours", features())
def test_a_yes_of_ours_is_tested(ours: str) -> None:
    links = _LINK.findall(ours)
    if ours.startswith(("no", "part")):
        return
    assert links, ours
    assert links[0][0] == "yes"
    for _, path, name in links:
        assert (ROOT / path).is_file(), path
        assert name.startswith("test_"), ours
        assert name in names_in(path), f"{path} has no {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_tests_lead_to_some(page: Path) -> None:
    links = _LINK.findall(page.read_text("utf-8"))
    assert links
    for _, path, name in links:
        assert (ROOT / path).is_file(), path
        assert not name or name in names_in(path), f"{path} has no {name}"
