"""Contenders of the file rows: penstock's own and the standard library's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.bench._flow_contenders import flow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.bench._model import Backend, Contender

__all__ = ["FILES"]

# Operations, by kind. Of ``writes`` ``write``: write each of ``items`` to ``path``, so that the
# last one is there in the end. Of ``reads`` ``get``: what the JSON file ``k`` says.
_WRITE: Final = {"write": "for data in items:\n    write(path, data)\nawait flush()"}
_GET: Final = {"get": "await get(k)"}
_READ: Final = {"get": "with open(k, 'rb') as file:\n    loads(file.read())"}

_REPLACE: Final = """\
import os, tempfile
def c(path, data):
    folder = os.path.dirname(path)
    descriptor, temporary = tempfile.mkstemp(dir=folder)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    os.replace(temporary, path)
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
"""
_SAVE: Final = """\
def c(path, data):
    with open(path, "wb") as file:
        file.write(data)
"""


def _ours(backend: Backend) -> list[Contender]:
    suffix = "" if backend == "native" else " (pure)"

    def one(name: str, kind: str, make: str, ops: Mapping[str, str], bind: str) -> Contender:
        return flow(f"penstock {name}{suffix}", kind, make, ops, bind=bind, backend=backend)

    lookup = "get = c.get"
    return [
        one(
            "FileWriter",
            "writes",
            "c = penstock.FileWriter()",
            _WRITE,
            "write, flush = c.write, c.flush",
        ),
        one("FileCache", "reads", "c = penstock.FileCache()", _GET, lookup),
        one(
            "FileCache, looks once a second",
            "reads",
            "c = penstock.FileCache(check_interval=1)",
            _GET,
            lookup,
        ),
    ]


FILES: Final[tuple[Contender, ...]] = (
    *_ours("native"),
    *_ours("pure"),
    flow("open and write", "writes", _SAVE, {"write": "for data in items:\n    c(path, data)"}),
    flow(
        "asyncio.to_thread, open and write",
        "writes",
        _SAVE,
        {"write": "for data in items:\n    await to_thread(c, path, data)"},
        bind="from asyncio import to_thread",
    ),
    flow(
        "replaced and synchronised each time",
        "writes",
        _REPLACE,
        {"write": "for data in items:\n    c(path, data)"},
    ),
    flow(
        "replaced and synchronised once",
        "writes",
        _REPLACE,
        {"write": "c(path, items[-1])"},
    ),
    flow("read and json.loads", "reads", "import json\nc = json.loads", _READ, bind="loads = c"),
    flow(
        "read and orjson.loads",
        "reads",
        "import orjson\nc = orjson.loads",
        _READ,
        bind="loads = c",
        needs="orjson",
    ),
)
