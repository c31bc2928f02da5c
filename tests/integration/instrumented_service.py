"""
A service as there are many, instrumented with prometheus_client.

It runs as it is, and with ``prometheus_client`` replaced by ``penstock.metrics`` in its imports.
Standard output gets its two ports; it ends with its standard input.
"""

import asyncio
import os
import socket
import sys
import threading
from pathlib import Path

import uvicorn
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Metric,
    Summary,
    generate_latest,
    make_asgi_app,
    start_http_server,
    write_to_textfile,
)
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

ORDERS = Counter("orders", "Orders taken.", ["country", "plan"], namespace="shop")
FAILURES = Counter("shop_failures_total", "Orders that failed.", registry=REGISTRY)
VOLUME = Counter("shop_volume", "Sold.", unit="litres")
OPEN = Gauge("shop_open_orders", "Orders under way.")
DEPTH = Gauge("depth", "Of queues.", ["queue"], "shop", "queue")
TEMPERATURE = Gauge("shop_temperature_celsius", "Of the store.", multiprocess_mode="mostrecent")
WORKERS = Gauge("shop_workers", "At work.")
PRICE = Histogram("shop_price_euros", "Of orders.", ["country"], buckets=(1, 5, 10.5, 1e6))
TAKES = Histogram("shop_take_seconds", "Time to take an order.")
CHANGE = Histogram("shop_change", "Of stock.", buckets=[0, 10])
SIZE = Summary("shop_size_bytes", "Of orders.", ["country"])
READS = Summary("shop_read_seconds", "Time to read an order.")
BUILD = Info("shop_build", "Of this service.")
STATE = Enum("shop_state", "Of this service.", states=["starting", "open", "closed"])
UTF8 = Gauge("shop.größe", "A name that Prometheus 3 can have.", ["a.b"])

PRIVATE = CollectorRegistry(auto_describe=True, target_info={"service": "shop"})
JOBS = Counter("jobs", "Done.", registry=PRIVATE)


class Stock:
    """A collector: what is in store is known elsewhere."""

    def collect(self):
        family = Metric("shop_stock", "In store.", "gauge")
        family.add_sample("shop_stock", {"thing": 'a "b"\\\n'}, 7)
        yield family


REGISTRY.register(Stock())
WORKERS.set_function(lambda: 3)
BUILD.info({"version": "1.2.3", "commit": "abc"})
STATE.state("open")


@TAKES.time()
def take(price):
    if price < 0:
        raise ValueError("no such price")


async def order(request):
    country = request.query_params.get("country", "de")
    price = float(request.query_params["price"])
    with OPEN.track_inprogress():
        try:
            with FAILURES.count_exceptions(ValueError), READS.time():
                take(price)
        except ValueError as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        ORDERS.labels(country, plan := "basic").inc(exemplar={"trace_id": "abc"})
        ORDERS.labels(country=country, plan=plan).inc(0.5)
        PRICE.labels(country).observe(price, {"trace_id": "é"})
        SIZE.labels(country).observe(len(country))
        VOLUME.inc(price / 4)
        CHANGE.observe(price % 11)
        DEPTH.labels("in").inc()
        DEPTH.labels("out").dec(2)
        TEMPERATURE.set(price)
        UTF8.labels(country).set(price)
        JOBS.inc()
        DEPTH.labels("gone")
        DEPTH.remove("gone")
    return JSONResponse({"taken": REGISTRY.get_sample_value("shop_workers")})


async def own_metrics(request):
    del request
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def repeated(request):
    del request
    try:
        Counter("shop_orders", "Registered before.")
    except ValueError as error:
        return JSONResponse(sorted(str(error).partition("{")[2].strip("}").split(", ")))


async def written(request):
    path = request.query_params["path"]
    write_to_textfile(path, PRIVATE)
    return Response(await asyncio.to_thread(Path(path).read_bytes))


app = Starlette(
    routes=[
        Route("/order", order),
        Route("/own-metrics", own_metrics),
        Route("/repeated", repeated),
        Route("/written", written),
        Mount("/metrics", make_asgi_app()),
        Mount("/private", make_asgi_app(registry=PRIVATE, disable_compression=True)),
    ]
)


def end_with_parent(server):
    while os.read(0, 64):
        pass
    server.should_exit = True


def main():
    server, thread = start_http_server(0, addr="127.0.0.1")
    assert thread.daemon
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], server.server_port, flush=True)
    web = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    threading.Thread(target=end_with_parent, args=(web,), daemon=True).start()
    web.run(sockets=[listener])
    server.shutdown()
    server.server_close()


if __name__ == "__main__":
    sys.exit(main())
