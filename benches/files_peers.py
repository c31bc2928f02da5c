"""The peers of files, as contenders; part of ``peers.py``."""

from __future__ import annotations

from typing import Final

from penstock.bench import Contender, flow

__all__ = ["FILES_PEERS"]

_READ: Final = "async with open_file(k, 'rb') as file:\n    loads(await file.read())"

FILES_PEERS: Final[tuple[Contender, ...]] = (
    flow(
        "aiofiles",
        "writes",
        "import aiofiles\nc = aiofiles.open",
        {
            "write": """\
for data in items:
    async with open_file(path, 'wb') as file:
        await file.write(data)
"""
        },
        bind="open_file = c",
        needs="aiofiles",
    ),
    flow(
        "aiofiles and json.loads",
        "reads",
        "import aiofiles, json\nc = aiofiles.open, json.loads",
        {"get": _READ},
        bind="open_file, loads = c",
        needs="aiofiles",
    ),
    flow(
        "aiofiles and orjson.loads",
        "reads",
        "import aiofiles, orjson\nc = aiofiles.open, orjson.loads",
        {"get": _READ},
        bind="open_file, loads = c",
        needs="aiofiles",
    ),
)
