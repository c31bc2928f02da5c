"""What tests over real servers share: more patience than a service has."""

from __future__ import annotations

import inspect

import pytest

from penstock import RedisStore, TieredCache

#: Seconds that a store may take where a test does not say how many: a machine that is busy with
#: others stalls for longer than the defaults, and that is no outage.
_PATIENCE = 3.0


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    for cls, option in ((RedisStore, "timeout"), (TieredCache, "store_timeout")):
        defaults = inspect.unwrap(cls.__init__).__kwdefaults__
        monkeypatch.setitem(defaults, option, _PATIENCE)
