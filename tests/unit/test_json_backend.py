"""Which backend of JSON is used: the environment decides, then what is installed."""

from __future__ import annotations

import pytest
from tests.test_exports import printed

SHOW = "from penstock import json; print(json.BACKEND, json.dumps((1.5, None)), json.loads('[1]'))"
WITHOUT = "import sys; sys.modules['orjson'] = None; "


@pytest.mark.parametrize(
    ("code", "environment", "backend"),
    [
        (SHOW, {"PENSTOCK_JSON": ""}, "orjson"),
        (SHOW, {"PENSTOCK_JSON": "stdlib"}, "stdlib"),
        (SHOW, {"PENSTOCK_JSON": "orjson"}, "orjson"),
        (WITHOUT + SHOW, {"PENSTOCK_JSON": ""}, "stdlib"),
        (WITHOUT + SHOW, {"PENSTOCK_JSON": "orjson"}, "stdlib"),
    ],
)
def test_the_backend_is_chosen(code: str, environment: dict[str, str], backend: str) -> None:
    assert printed(code, **environment) == f"{backend} b'[1.5,null]' [1]"


def test_the_fallback_imports_neither_orjson_nor_numpy() -> None:
    code = "import sys; from penstock import json; print({'orjson', 'numpy'} & {*sys.modules})"
    assert printed(code, PENSTOCK_JSON="stdlib") == "set()"
