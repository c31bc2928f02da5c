"""Recording: rows to SQLite in batches, asked back by time, and old JSON records brought in."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.recording._import import import_json
    from penstock.recording._import_report import BrokenRecord, ImportProgress, ImportReport
    from penstock.recording._recorder import Recorder
    from penstock.recording._recorder_stats import RecorderStats

__all__ = [
    "BrokenRecord",
    "ImportProgress",
    "ImportReport",
    "Recorder",
    "RecorderStats",
    "import_json",
]

# Where each name is; a module is imported when its first name is asked for.
_HOMES = {
    "BrokenRecord": "penstock.recording._import_report",
    "ImportProgress": "penstock.recording._import_report",
    "ImportReport": "penstock.recording._import_report",
    "Recorder": "penstock.recording._recorder",
    "RecorderStats": "penstock.recording._recorder_stats",
    "import_json": "penstock.recording._import",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
