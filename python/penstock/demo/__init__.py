"""
``penstock demo``: one real service, the same requests without and with ``@cached``.

Then with an event that is recorded for each request, without and with `Recorder`; and as it is
after a restart, without and with a second tier of its cache.

The parts: a database made from a seed, a service in its own process, a client with keys that
repeat as real ones do, and a table that puts the rounds side by side.
"""

from __future__ import annotations

from penstock.demo._model import DemoError, DemoOptions, Round
from penstock.demo._run import run

__all__ = ["DemoError", "DemoOptions", "Round", "run"]
