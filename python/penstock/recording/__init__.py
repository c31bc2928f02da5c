"""Recording: rows to SQLite in batches, asked back by time, and old JSON records brought in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock._lazy import lazy

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

__getattr__, __dir__ = lazy(__name__, _HOMES)
