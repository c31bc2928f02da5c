"""A cache stays in its process."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from types import ModuleType

import pytest

MESSAGE = (
    "cannot pickle 'Cache' object: it belongs to one process; save dict(cache.items()) instead"
)


@pytest.mark.parametrize("take", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_cache_is_neither_copied_nor_pickled(
    backend: ModuleType, take: Callable[[object], object]
) -> None:
    with pytest.raises(TypeError) as caught:
        take(backend.Cache(1))
    assert str(caught.value) == MESSAGE


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_pickle_protocol_takes_a_cache(backend: ModuleType, protocol: int) -> None:
    with pytest.raises(TypeError) as caught:
        pickle.dumps(backend.Cache(1), protocol)
    assert str(caught.value) == MESSAGE
