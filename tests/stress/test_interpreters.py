"""The extension shares its types and statics with nobody: a second interpreter uses the twin."""

from __future__ import annotations

import importlib
import os
import sys

from tests.stress.harness import in_child

NAME = "_xxsubinterpreters" if sys.version_info < (3, 13) else "_interpreters"


@in_child(native_only="only the extension has a first interpreter")
def test_a_second_interpreter_leaves_the_first_alone() -> None:
    from penstock import Cache, _components

    os.environ.pop("PENSTOCK_REQUIRE_NATIVE", None)
    interpreters = importlib.import_module(NAME)
    second = interpreters.create()
    code = (
        "import os; os.environ.pop('PENSTOCK_REQUIRE_NATIVE', None)\n"
        "from penstock import BACKEND, Cache\n"
        "assert BACKEND == 'pure'\n"
        "cache = Cache(5, name='there')\n"
    )
    assert interpreters.run_string(second, code) is None  # from 3.13 on errors are returned
    cache: Cache[int, int] = Cache(5, name="here")
    assert [entry.name for entry in _components.entries()] == ["here"]
    interpreters.destroy(second)
    another: Cache[int, int] = Cache(5, name="also here")
    assert len(_components.entries()) == len([cache, another])
