"""A service written for prometheus_client, run as it is and on ours: the same pages."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.core import Metric

SERVICE = Path(__file__).with_name("instrumented_service.py")
#: Samples of these families have values that differ from run to run; there must be as many.
_BY_TIME = ("_created", "process_", "python_gc_", "shop_take_seconds", "shop_read_seconds")


class Service:
    """The service in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.app, self.server = map(int, process.stdout.readline().split())

    def get(self, path: str, port: int | None = None, **headers: str) -> tuple[int, str, str]:
        """Return status, content type and text of an answer."""
        url = f"http://127.0.0.1:{port or self.app}{path}"
        request = urllib.request.Request(
            url, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                body = response.read()
                if response.headers["Content-Encoding"] == "gzip":
                    body = gzip.decompress(body)
                return response.status, response.headers["Content-Type"], body.decode()
        except HTTPError as error:
            return error.code, error.headers["Content-Type"], error.read().decode()


@contextlib.contextmanager
def running(path: Path) -> Iterator[Service]:
    paths = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    with subprocess.Popen(
        [sys.executable, "-W", "error", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    ) as process:
        try:
            service = Service(process)
            for price in (0, 1, 4.5, 10.5, 100, -1, 1e7):
                service.get(f"/order?price={price}")
            service.get("/order?price=3&country=%22%C3%A9%5C%0A")
            yield service
            _, errors = process.communicate(timeout=20)
            assert (process.returncode, errors) == (0, "")
        finally:
            process.kill()


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Service]]:
    source = SERVICE.read_text()
    swapped = tmp_path_factory.mktemp("service") / "swapped.py"
    swapped.write_text(
        source.replace("from prometheus_client import", "from penstock.metrics import")
    )
    assert swapped.read_text() != source
    with running(SERVICE) as original, running(swapped) as ours:
        yield original, ours


def contents(
    page: str, parse: Callable[[str], Iterable[Metric]]
) -> dict[tuple[str, str, str, str], dict[str, Any]]:
    """Return families by what is said of them, their samples by name and labels."""
    families = {}
    for family in parse(page):
        samples: dict[str, Any] = {}
        for each in family.samples:
            is_by_time = any(part in each.name for part in _BY_TIME)
            exemplar = each.exemplar and (each.exemplar.labels, each.exemplar.value)
            series = json.dumps([each.name, sorted(each.labels.items())])
            assert series not in samples
            samples[series] = None if is_by_time else (repr(each.value), exemplar)
        families[family.name, family.type, family.documentation, family.unit] = samples
    return families


@pytest.mark.parametrize("gzip", ["gzip", "identity"])
@pytest.mark.parametrize(
    ("accept", "parse"),
    [
        ("*/*", parse_text),
        ("text/plain; version=1.0.0; escaping=allow-utf-8", parse_text),
        ("application/openmetrics-text; version=1.0.0", parse_openmetrics),
        ("application/openmetrics-text; version=1.0.0; escaping=allow-utf-8", parse_openmetrics),
    ],
)
@pytest.mark.parametrize("where", ["app", "server", "private", "filtered"])
def test_page_has_the_same_samples(
    services: tuple[Service, Service], where: str, accept: str, parse: Any, gzip: str
) -> None:
    path = {
        "private": "/private/",
        "filtered": "/metrics/?name[]=shop_price_euros_bucket&name[]=shop_stock",
    }.get(where, "/metrics/")
    answers = [
        service.get(
            path,
            service.server if where == "server" else service.app,
            Accept=accept,
            Accept_Encoding=gzip,
        )
        for service in services
    ]
    (status, content_type, theirs), ours = answers
    assert ours[:2] == (status, content_type) == (200, content_type)
    expected = contents(theirs, parse)
    assert contents(ours[2], parse) == expected
    assert len(expected) >= (2 if where in {"private", "filtered"} else 25)


def test_page_of_the_service_itself_has_the_same_lines(
    services: tuple[Service, Service],
) -> None:
    (status, content_type, theirs), ours = (each.get("/own-metrics") for each in services)
    assert ours[:2] == (status, content_type)

    def names(page: str) -> list[str]:
        return [line.rpartition(" ")[0] for line in page.splitlines()]

    assert names(ours[2]) == names(theirs)


def test_service_itself_answers_the_same(services: tuple[Service, Service], tmp_path: Path) -> None:
    file = tmp_path / "file.prom"
    for path in ("/order?price=-2", "/repeated", f"/written?path={file}"):
        theirs, ours = (each.get(path) for each in services)
        drop = [line for line in ours[2].splitlines() if "_created" not in line]
        assert drop == [line for line in theirs[2].splitlines() if "_created" not in line]
        assert ours[:2] == theirs[:2]
