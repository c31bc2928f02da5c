"""Families of others: checked, so that none spoils a page, and encoded by prometheus_client."""

from __future__ import annotations

import re
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING, Final

# By name: somebody may put ours in the place of this one, for the gateway or a text file.
from prometheus_client.exposition import generate_latest as write_text
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.samples import Sample

from penstock.metrics import _naming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.samples import Exemplar

    from penstock.metrics._negotiation import Format

__all__ = ["EOF", "checked", "encode", "merge", "plain"]

_UNIT: Final = re.compile(r"[a-zA-Z0-9_:]+")
EOF: Final = b"# EOF\n"

plain = lru_cache(maxsize=4096)(_naming.is_plain)


class _Single:
    """A registry of one family, which is what prometheus_client encodes."""

    __slots__ = ("_metric",)

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return [self._metric]


def encode(metric: Metric, form: Format) -> bytes:
    """Return the lines of a family that was `checked` for the same format."""
    if not form.openmetrics:
        return write_text(_Single(metric), form.escaping)
    escaping = openmetrics.ALLOWUTF8 if _escapes_itself(form) else form.escaping
    write: Callable[..., bytes] = openmetrics.generate_latest
    return write(_Single(metric), escaping, "1.0.0").removesuffix(EOF)


def checked(
    metric: Metric, form: Format, names: frozenset[str] | None
) -> tuple[Metric | None, Exception | None]:
    """
    Copy what collectors hand over, without the samples that no format can carry.

    Args:
        metric: Anything; it is not changed.
        form: What it is to be encoded as.
        names: The samples to keep; None keeps all.

    Returns:
        The copy, None if all its samples are beyond *names*; and what was wrong with the first
        sample that is left out.

    Raises:
        Exception: It is no family at all.
    """
    name = metric.name
    family = Metric(_escaped(name, form), _text(metric.documentation), metric.type)
    # Prometheus refuses a page on which a unit is not the end of its family's name; and
    # prometheus_client drops units where it restricts a family to names.
    if metric.unit and _UNIT.fullmatch(metric.unit) and family.name.endswith(f"_{metric.unit}"):
        family.unit = metric.unit if names is None else ""
    _text(family.name)
    problems: list[Exception] = []
    for sample in metric.samples:
        try:
            # Native histograms are in no text format below OpenMetrics 2.0.
            if (names is None or sample.name in names) and not sample.native_histogram:
                kept = _checked_sample(sample, form)
                if form.openmetrics and sample.exemplar:
                    kept = kept._replace(exemplar=_exemplar(sample, metric, problems))
                family.samples.append(kept)
        except Exception as problem:  # a sample may be anything
            problems.append(problem)
    empty = names is not None and not family.samples
    return (None if empty else family), (problems[0] if problems else None)


def merge(family: Metric, other: Metric) -> Exception | None:
    """
    Append the samples of a family of the same name: a page may have each only once.

    Returns:
        What was wrong with the first of them that is left out.
    """
    if family.type != other.type:
        return ValueError(f"family {other.name!r} is a {family.type} already, got a {other.type}")
    error = None
    there = {_series(sample) for sample in family.samples}
    for sample in other.samples:
        if _series(sample) not in there:
            there.add(_series(sample))
            family.samples.append(sample)
        elif error is None:
            error = ValueError(f"series {sample.name!r} {sample.labels} is there already")
    return error


def _series(sample: Sample) -> tuple[str, frozenset[tuple[str, str]]]:
    return sample.name, frozenset(sample.labels.items())


def _checked_sample(sample: Sample, form: Format) -> Sample:
    """Return a sample, or a copy with its names escaped if the encoder will not do it."""
    float(sample.value)  # None and the like raise here, where one sample is lost, not all
    if sample.timestamp is not None:
        _check_timestamp(sample.timestamp)
    if not _text(sample.name):
        raise ValueError("name of a sample must not be empty")
    labels = _labels(sample.labels, form)
    if not _escapes_itself(form):
        return sample
    return Sample(_escaped(sample.name, form), labels, sample.value, sample.timestamp)


def _labels(labels: dict[str, str], form: Format) -> dict[str, str]:
    """Return labels with their names escaped."""
    for value in labels.values():
        _text(value)
    if plain("_", tuple(labels)):
        return labels
    escaped = {
        openmetrics.escape_label_name(_text(label), form.escaping): value
        for label, value in labels.items()
    }
    if len(escaped) < len(labels) or "" in escaped:
        raise ValueError(f"labels must have distinct names once escaped, got {list(labels)}")
    return escaped


def _escaped(name: str, form: Format) -> str:
    return openmetrics.escape_metric_name(name, form.escaping) if _escapes_itself(form) else name


def _escapes_itself(form: Format) -> bool:
    # With "values", prometheus_client's encoder for OpenMetrics also escapes the names of samples
    # that need it not, but not those of their families.
    return form.openmetrics and form.escaping == openmetrics.VALUES


def _text(value: str) -> str:
    """Return a text that a page can carry."""
    if not isinstance(value, str):
        raise TypeError(f"expected a str, got {value!r}")
    if not value.isascii():
        value.encode()  # surrogates cannot be
    return value


def _check_timestamp(timestamp: object) -> None:
    if isinstance(timestamp, str) or not isfinite(float(timestamp)):  # type: ignore[arg-type]
        raise ValueError(f"timestamp must be a finite number, got {timestamp!r}")


def _exemplar(sample: Sample, metric: Metric, problems: list[Exception]) -> Exemplar | None:
    """Return the exemplar of a sample, which is better shown without one than not at all."""
    try:
        if sample.exemplar is not None:
            _check_exemplar(sample.exemplar, sample.name, metric)
    except Exception as problem:  # an exemplar may be anything
        problems.append(problem)
        return None
    return sample.exemplar


def _check_exemplar(exemplar: Exemplar, sample: str, metric: Metric) -> None:
    carries = (
        (metric.type == "counter" and sample.endswith("_total"))
        or (metric.type in {"histogram", "gaugehistogram"} and sample.endswith("_bucket"))
        or (metric.type == "histogram" and sample == metric.name)
    )
    if not carries:
        raise ValueError(f"sample {sample!r} of a {metric.type} cannot have an exemplar")
    for label, value in exemplar.labels.items():
        # Nobody escapes or quotes them, and a parser gives up on the page.
        if not plain("_", (label,)):
            raise ValueError(f"label {label!r} of an exemplar must be a plain name")
        _text(value)
    float(exemplar.value)
    if exemplar.timestamp is not None:
        _check_timestamp(exemplar.timestamp)
