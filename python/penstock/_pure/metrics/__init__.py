"""The twins of the metrics: what counts, and what writes it down for a scrape."""

from penstock._pure.metrics.counter import Counter
from penstock._pure.metrics.encode import encode
from penstock._pure.metrics.family import Family
from penstock._pure.metrics.gauge import Gauge
from penstock._pure.metrics.histogram import Histogram
from penstock._pure.metrics.hooks import set_metric_hooks
from penstock._pure.metrics.summary import Summary
from penstock._pure.metrics.tally import drops
from penstock._pure.metrics.timer import Timer

__all__ = [
    "Counter",
    "Family",
    "Gauge",
    "Histogram",
    "Summary",
    "Timer",
    "drops",
    "encode",
    "set_metric_hooks",
]
