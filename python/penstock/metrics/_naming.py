"""What names, labels and exemplars may be: prometheus_client's rules, its own code and messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import metrics, validation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["check_labelnames", "check_max_series", "exemplar_pairs", "full_name", "is_plain"]


def full_name(kind: str, name: str, namespace: str, subsystem: str, unit: str) -> str:
    """Return a family's name: parts joined, ``_total`` of a counter cut off, the unit appended."""
    full = metrics._build_full_name(kind, name, namespace, subsystem, unit)
    validation._validate_metric_name(full)
    return str(full)


def check_labelnames(reserved: object, labelnames: Iterable[str]) -> tuple[str, ...]:
    """Return the label names, checked; *reserved* has ``_reserved_labelnames``."""
    checked = tuple(validation._validate_labelnames(reserved, labelnames))
    if "" in checked:  # prometheus_client lets it through, and writes a page that nobody can read
        raise ValueError("Invalid label metric name: ")
    if len(set(checked)) < len(checked):
        raise ValueError(f"Duplicate label names: {checked}")
    return checked


def check_max_series(max_series: int | None) -> int | None:
    """Return the largest number of series of a family, checked."""
    if max_series is None:
        return None
    given: object = max_series
    if not isinstance(given, int) or isinstance(given, bool):
        raise TypeError(f"max_series must be an int or None, got {type(max_series).__name__}")
    if max_series < 1:
        raise ValueError(f"max_series must be >= 1, got {max_series}")
    return max_series


def exemplar_pairs(exemplar: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the labels of an exemplar, checked, in the order in which they are written."""
    validation._validate_exemplar(exemplar)
    for name, value in exemplar.items():
        # Only these can be written where exemplars are: one other name would spoil the whole page.
        if not validation._is_valid_legacy_labelname(name):
            raise ValueError(f"Invalid label metric name: {name}")
        if not isinstance(value, str):
            raise TypeError(f"exemplar label {name} must be a str, got {type(value).__name__}")
    return sorted(exemplar.items())


def is_plain(name: str, labelnames: Iterable[str]) -> bool:
    """Whether names need no quoting or escaping in any format."""
    return validation._is_valid_legacy_metric_name(name) and all(
        validation._is_valid_legacy_labelname(label) for label in labelnames
    )
