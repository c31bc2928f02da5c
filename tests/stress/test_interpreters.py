"""The extension shares its types and statics with nobody: a second interpreter uses the twin."""

from __future__ import annotations

import importlib.util
import os

import pytest
from tests.stress.harness import in_child


@pytest.mark.skipif(
    importlib.util.find_spec("_xxsubinterpreters") is None,
    reason="renamed in 3.13",
)
@in_child(native_only="only the extension has a first interpreter")
def test_a_second_interpreter_leaves_the_first_alone() -> None:
    import _xxsubinterpreters as interpreters  # type: ignore[import-not-found]

    from penstock import Cache, _components

    os.environ.pop("PENSTOCK_REQUIRE_NATIVE", None)
    second = interpreters.create()
    code = (
        "import os; os.environ.pop('PENSTOCK_REQUIRE_NATIVE', None)\n"
        "from penstock import BACKEND, Cache\n"
        "assert BACKEND == 'pure'\n"
        "cache = Cache(5, name='there')\n"
    )
    interpreters.run_string(second, code)
    cache: Cache[int, int] = Cache(5, name="here")
    assert [entry.name for entry in _components.entries()] == ["here"]
    interpreters.destroy(second)
    another: Cache[int, int] = Cache(5, name="also here")
    assert len(_components.entries()) == len([cache, another])
