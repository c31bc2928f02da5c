"""The examples of the documentation run as they stand."""

from __future__ import annotations

import linecache
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

#: On the line before a block: it is there to be read.
SKIP = "<!-- not run -->"


class Block(NamedTuple):
    """A block of Python: the line of the page on which its code begins, and the code."""

    line: int
    code: str


def python_blocks(text: str) -> Iterator[Block]:
    """Find the ```python blocks of a page, but for those that are not to run."""
    before = ""
    fence: tuple[int, str, bool] | None = None
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        bare = line.strip()
        if fence is None and bare.startswith("```"):
            ticks = "`" * (len(bare) - len(bare.lstrip("`")))
            language = bare.removeprefix(ticks).strip().split(" ", 1)[0]
            fence = (number, ticks, language == "python" and before != SKIP)
        elif fence is not None and bare == fence[1]:
            start, _, runs = fence
            fence = None
            if runs:
                code = textwrap.dedent("\n".join(lines[start : number - 1]))
                yield Block(start + 1, code + "\n")
        before = bare or before
    if fence is not None:
        raise ValueError(f"the block that begins on line {fence[0]} has no end")


def run(block: Block, name: str) -> dict[str, object]:
    """Run a block in a namespace of its own, which is returned."""
    # Tracebacks show the lines of the page under its own numbers.
    source = "\n" * (block.line - 1) + block.code
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    namespace: dict[str, object] = {"__name__": "__main__"}
    exec(compile(source, name, "exec", dont_inherit=True), namespace)
    return namespace


def examples() -> list[object]:
    """Every block of every page, named as an editor finds it."""
    pages = [(page.relative_to(ROOT).as_posix(), page.read_text("utf-8")) for page in PAGES]
    return [
        pytest.param(block, name, id=f"{name}:{block.line}")
        for name, text in pages
        for block in python_blocks(text)
    ]


@pytest.mark.parametrize(("block", "name"), examples())
def test_the_example_runs(block: Block, name: str) -> None:
    run(block, name)


def test_every_page_of_a_feature_has_an_example() -> None:
    for page in (
        "cache",
        "cached",
        "limits",
        "retry",
        "map",
        "executor",
        "metrics",
        "batcher",
        "loader",
        "sqlite",
        "recorder",
        "files",
        "json",
        "tiers",
        "stores",
        "warmup",
        "pool",
        "http",
        "websockets",
    ):
        assert list(python_blocks((ROOT / "docs" / f"{page}.md").read_text("utf-8")))


PAGE = """\
Some prose with `inline` code.

```python
first = 1
```

```sh
make test
```

- in a list:

  ```python title="second"
  second = 2
  ```

<!-- not run -->
```python
third = undefined
```

<!-- not run -->

```python
fourth = undefined
```

````markdown
```python
fifth = undefined
```
````

```python
```
"""


def test_blocks_of_python_are_found_with_their_lines() -> None:
    assert list(python_blocks(PAGE)) == [
        Block(4, "first = 1\n"),
        Block(14, "second = 2\n"),
        Block(35, "\n"),
    ]


def test_a_page_without_examples_has_none() -> None:
    assert list(python_blocks("")) == []


def test_a_mark_counts_for_the_next_block_only() -> None:
    page = f"{SKIP}\n```python\na\n```\n```python\nb\n```\n{SKIP}\nProse.\n```python\nc\n```\n"
    assert [block.code for block in python_blocks(page)] == ["b\n", "c\n"]


def test_a_block_without_an_end_is_an_error() -> None:
    with pytest.raises(ValueError, match="line 3 has no end"):
        list(python_blocks("a\n\n```python\n1\n"))


def test_an_example_that_fails_shows_its_line_of_the_page() -> None:
    (block,) = python_blocks("# Title\n\n```python\nlisted = [1]\nassert listed == []\n```\n")
    with pytest.raises(AssertionError) as caught:
        run(block, "docs/page.md")
    last = caught.traceback[-1]
    assert (str(last.path).endswith("docs/page.md"), last.lineno + 1) == (True, 5)


def test_each_example_has_a_namespace_of_its_own() -> None:
    first, second = python_blocks("```python\na = 1\n```\n```python\nb = 2\n```\n")
    assert run(first, "page")["a"] == 1
    assert "a" not in run(second, "page")
