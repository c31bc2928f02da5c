"""The ASGI application: what it answers to whom."""

from __future__ import annotations

import asyncio
import gzip
import inspect
import random
from typing import TYPE_CHECKING, Any

import prometheus_client
import pytest
from prometheus_client import REGISTRY, CollectorRegistry
from tests.loading import settle
from tests.scraping import HeldCollector, Request, join_scrapes

from penstock.metrics import Counter, Gauge, generate_latest, make_asgi_app
from penstock.metrics._exposition import ERRORS, render
from penstock.metrics._negotiation import OPENMETRICS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.metrics._asgi import MetricsApp

TEXT = "text/plain; version=0.0.4; charset=utf-8"


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("hits", "Of a page.", ["path"], registry=registry).labels("/é").inc(7)
    Gauge("odd name", "Of nothing.", registry=registry)
    return registry


@pytest.fixture(autouse=True)
def _no_scrape_is_left() -> Iterator[None]:
    yield
    join_scrapes()


def ask(app: MetricsApp, **request: Any) -> Request:
    """Make one request in a loop of its own."""

    async def main() -> Request:
        answer = await Request(**request).to(app)
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task was left behind"
        return answer

    return asyncio.run(main())


def test_get_is_answered_with_the_page(registry: CollectorRegistry) -> None:
    answer = ask(make_asgi_app(registry))
    assert answer.status == 200
    assert answer.body == generate_latest(registry)
    assert answer.answer == {
        "content-type": TEXT,
        "content-length": str(len(answer.body)),
        "vary": "Accept, Accept-Encoding",
    }


def test_default_is_the_registry_of_prometheus_client() -> None:
    assert b"python_info" in ask(make_asgi_app(), query=b"name[]=python_info").body
    ours, theirs = map(inspect.signature, (make_asgi_app, prometheus_client.make_asgi_app))
    assert ours.parameters["registry"].default is REGISTRY
    assert list(ours.parameters) == list(theirs.parameters)


def test_openmetrics_is_negotiated(registry: CollectorRegistry) -> None:
    accept = b"application/openmetrics-text; version=1.0.0"
    answer = ask(make_asgi_app(registry), headers=[(b"accept", accept)])
    assert answer.answer["content-type"] == (
        "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
    )
    assert answer.body == render(registry, OPENMETRICS)


def test_names_are_escaped_as_was_agreed(registry: CollectorRegistry) -> None:
    accept = b"text/plain; version=1.0.0; escaping=allow-utf-8"
    answer = ask(make_asgi_app(registry), headers=[(b"accept", accept)])
    assert answer.answer["content-type"].endswith("; escaping=allow-utf-8")
    assert b'{"odd name"} 0.0\n' in answer.body


def test_headers_may_come_in_parts_and_in_any_case(registry: CollectorRegistry) -> None:
    headers = [
        (b"Accept", b"text/html;q=0.5"),
        (b"ACCEPT", b"application/openmetrics-text"),
        (b"accept-encoding", b"br"),
        (b"Accept-Encoding", b"gzip"),
        (b"accept-language", b"\xff\xfe"),
    ]
    answer = ask(make_asgi_app(registry), headers=headers)
    assert answer.answer["content-type"].startswith("application/openmetrics-text")
    assert answer.answer["content-encoding"] == "gzip"


def test_header_that_is_no_text_asks_for_nothing(registry: CollectorRegistry) -> None:
    headers = [(b"accept", b"\xff\xfe"), (b"accept-encoding", b"\xff")]
    answer = ask(make_asgi_app(registry), headers=headers)
    assert (answer.status, answer.answer["content-type"]) == (200, TEXT)


def test_gzip_is_sent_to_who_accepts_it(registry: CollectorRegistry) -> None:
    answer = ask(make_asgi_app(registry), headers=[(b"accept-encoding", b"gzip")])
    assert gzip.decompress(answer.body) == generate_latest(registry)
    assert answer.answer["content-encoding"] == "gzip"
    assert answer.answer["content-length"] == str(len(answer.body))


def test_compression_can_be_disabled(registry: CollectorRegistry) -> None:
    app = make_asgi_app(registry, disable_compression=True)
    answer = ask(app, headers=[(b"accept-encoding", b"gzip")])
    assert "content-encoding" not in answer.answer
    assert answer.body == generate_latest(registry)


@pytest.mark.parametrize("encoding", [b"", b"gzip"])
def test_head_is_answered_with_the_headers_alone(
    registry: CollectorRegistry, encoding: bytes
) -> None:
    app = make_asgi_app(registry)
    headers = [(b"accept-encoding", encoding)]
    head = ask(app, method="HEAD", headers=headers)
    assert head.body == b""
    assert head.status == 200
    assert head.answer == ask(app, headers=headers).answer


def test_options_says_what_is_allowed(registry: CollectorRegistry) -> None:
    answer = ask(make_asgi_app(registry), method="OPTIONS")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.answer["allow"] == "GET, HEAD, OPTIONS"
    assert answer.answer["content-length"] == "0"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "get", "\ud800"])
def test_any_other_method_is_refused_without_a_scrape(method: str) -> None:
    held = HeldCollector()
    registry = CollectorRegistry()
    registry.register(held)
    answer = ask(make_asgi_app(registry), method=method)
    assert answer.status == 405
    assert answer.answer["allow"] == "GET, HEAD, OPTIONS"
    assert answer.answer["content-length"] == str(len(answer.body))
    assert b"405 Method Not Allowed" in answer.body
    assert held.threads == []


def test_names_are_asked_for_in_the_query(registry: CollectorRegistry) -> None:
    answer = ask(make_asgi_app(registry), query=b"name[]=odd+name&name[]=nothing")
    assert b"odd_name 0.0\n" in answer.body
    assert b"hits" not in answer.body


@pytest.mark.parametrize("query", [b"name[]=\xff\xfe", b"name[]=%ff", b"%ff%fe=%", b"\x00&&&=;"])
def test_query_that_is_no_text_is_no_error(registry: CollectorRegistry, query: bytes) -> None:
    answer = ask(make_asgi_app(registry), query=query)
    assert answer.status == 200
    assert (b"hits" in answer.body) == (b"name" not in query)


def test_every_path_is_served(registry: CollectorRegistry) -> None:
    assert ask(make_asgi_app(registry), path="/any/where").status == 200


def test_scope_may_lack_what_has_a_default(registry: CollectorRegistry) -> None:
    async def main() -> Request:
        request = Request()
        await make_asgi_app(registry)({"type": "http"}, request.receive, request.send)
        return request

    assert asyncio.run(main()).body == generate_latest(registry)


def test_collector_that_raises_is_no_error_of_the_server() -> None:
    registry = CollectorRegistry()
    Gauge("bad", "Not to be had.", registry=registry).set_function(lambda: 1 / 0)
    answer = ask(make_asgi_app(registry))
    assert answer.status == 200
    assert f'{ERRORS}{{collector="bad"}} 1.0\n'.encode() in answer.body


def test_starlette_routes_to_it_and_mounts_it(registry: CollectorRegistry) -> None:
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.routing import Mount, Route

    metrics = make_asgi_app(registry)
    app = Starlette(routes=[Route("/metrics", metrics), Mount("/below", metrics)])

    async def main() -> None:
        page = generate_latest(registry)
        for path in ("/metrics", "/below/", "/below/any"):
            assert (await Request(path=path).to(app)).body == page
        assert (await Request(path="/metrics", method="POST").to(app)).status == 405

    asyncio.run(main())


def test_lifespan_is_answered(registry: CollectorRegistry) -> None:
    sent: list[dict[str, Any]] = []

    async def main() -> None:
        messages = iter(["lifespan.startup", "lifespan.shutdown"])

        async def receive() -> dict[str, Any]:
            return {"type": next(messages)}

        async def send(message: Any) -> None:
            sent.append(message)

        await make_asgi_app(registry)({"type": "lifespan"}, receive, send)

    asyncio.run(main())
    assert sent == [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]


def test_websocket_is_closed_before_it_is_accepted(registry: CollectorRegistry) -> None:
    sent: list[Any] = []

    async def main() -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await make_asgi_app(registry)({"type": "websocket"}, receive, send)

    asyncio.run(main())
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_unknown_scope_is_an_error(registry: CollectorRegistry) -> None:
    async def main() -> None:
        request = Request()
        await make_asgi_app(registry)({"type": "mqtt"}, request.receive, request.send)

    with pytest.raises(ValueError, match="must be http, lifespan or websocket, got 'mqtt'"):
        asyncio.run(main())


@pytest.mark.parametrize("step", [0, 1])
def test_client_that_is_gone_when_the_answer_comes_is_no_error(
    registry: CollectorRegistry, step: int
) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        if len(sent) == step:
            raise BrokenPipeError("the client is gone")
        sent.append(message)

    async def main() -> None:
        request = Request()
        await make_asgi_app(registry)(request.scope, request.receive, send)

    asyncio.run(main())
    assert len(sent) == step


def test_error_of_the_server_passes_through(registry: CollectorRegistry) -> None:
    async def send(message: Any) -> None:
        raise LookupError("a bug of the server")

    async def main() -> None:
        request = Request()
        await make_asgi_app(registry)(request.scope, request.receive, send)

    with pytest.raises(LookupError, match="a bug of the server"):
        asyncio.run(main())


@pytest.mark.parametrize("chunks", [1, 5])
def test_client_that_leaves_during_the_scrape_ends_the_request(chunks: int) -> None:
    held = HeldCollector()
    registry = CollectorRegistry()
    registry.register(held)

    async def main() -> None:
        request = Request()
        request.messages = [
            {"type": "http.request", "body": b"x", "more_body": at < chunks}
            for at in range(1, chunks + 1)
        ]
        task = asyncio.create_task(request.to(make_asgi_app(registry)))
        await held.entered()
        assert not task.done()
        request.gone.set()
        await asyncio.wait_for(task, 10)  # though the collector is still held
        assert request.sent == []

    try:
        asyncio.run(main())
    finally:
        held.go.set()


@pytest.mark.parametrize("problem", ["repeats itself", "raises", "makes no sense"])
def test_server_that_cannot_tell_of_a_client_that_leaves_is_no_problem(
    registry: CollectorRegistry, problem: str
) -> None:
    async def receive() -> dict[str, Any]:
        if problem == "raises":
            raise RuntimeError("not here")
        return {"type": "http.request"} if problem == "repeats itself" else {}

    async def main() -> Request:
        request = Request()
        await make_asgi_app(registry)(request.scope, receive, request.send)
        return request

    assert asyncio.run(main()).status == 200


@pytest.mark.parametrize("steps", range(12))
def test_cancelled_request_leaves_nothing_behind(steps: int) -> None:
    held = HeldCollector()
    registry = CollectorRegistry()
    registry.register(held)
    app = make_asgi_app(registry)

    async def main() -> None:
        request = Request()
        task = asyncio.create_task(request.to(app))
        await settle(steps)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert request.sent == []
        assert asyncio.all_tasks() == {asyncio.current_task()}
        held.go.set()
        assert (await Request().to(app)).status == 200

    asyncio.run(main())


def test_scrapes_in_random_order_of_everything_are_all_answered(
    registry: CollectorRegistry,
) -> None:
    """Many clients with different wishes, some of which leave: the others get what they want."""
    rng = random.Random(1)
    wishes = [
        {"query": query, "headers": [(b"accept", accept), (b"accept-encoding", encoding)]}
        for query in (b"", b"name[]=hits_total")
        for accept in (b"", b"application/openmetrics-text")
        for encoding in (b"", b"gzip")
    ]

    async def main() -> None:
        app = make_asgi_app(registry)
        expected = [(await Request(**wish).to(app)).body for wish in wishes]  # type: ignore[arg-type]
        chosen = [rng.randrange(len(wishes)) for _ in range(200)]
        requests = [Request(**wishes[at]) for at in chosen]  # type: ignore[arg-type]
        tasks = [asyncio.create_task(request.to(app)) for request in requests]
        left = set(rng.sample(range(200), 50))
        for at in left:
            await settle(rng.randrange(3))
            requests[at].gone.set()
        await asyncio.gather(*tasks)
        for at, (request, wish) in enumerate(zip(requests, chosen, strict=True)):
            assert request.sent or at in left
            assert not request.sent or request.body == expected[wish]

    asyncio.run(main())
