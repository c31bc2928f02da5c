"""What is not there yet: metrics that several processes count together."""

from __future__ import annotations

import os
import warnings

__all__ = ["warn_of_processes"]


def warn_of_processes() -> None:
    """Warn whoever has set up prometheus_client for several processes that each counts alone."""
    if os.environ.keys() & {"PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"}:
        warnings.warn(
            "PROMETHEUS_MULTIPROC_DIR is set, but each process counts its penstock metrics alone:"
            " a scrape shows those of the process that answers it",
            RuntimeWarning,
            stacklevel=3,
        )
