"""Two ways to write an outcome down: JSON for machines, Markdown tables for the README."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from penstock.bench._model import BenchError, Outcome, Plan, Result, Verdict

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["as_json", "as_markdown", "environment", "slug", "update_tables"]

_SCHEMA: Final = 1
_LARGE: Final = 100


def environment(package: ModuleType, peers: Mapping[str, str | None]) -> dict[str, object]:
    """Return where and with what the run was made: date, CPU, CPython, versions."""
    return {
        "date": datetime.now(tz=UTC).strftime("%Y-%m-%d"),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "penstock": getattr(package, "__version__", "unknown"),
        "backend": package.BACKEND,
        "peers": dict(peers),
    }


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1).strip() if found else platform.machine()


def as_json(outcome: Outcome, about: Mapping[str, object], plan: Plan) -> dict[str, object]:
    """Return the whole run as what ``json.dump`` takes; samples in the order of the rounds."""
    return {
        "schema": _SCHEMA,
        "environment": dict(about),
        "plan": {
            "capacity": plan.capacity,
            "rounds": plan.rounds,
            "round_ns": plan.round_ns,
            "entries": plan.entries,
            "waiters": plan.waiters,
            "series": plan.series,
            "children": plan.children,
            "scrapes": plan.scrapes,
            "items": plan.items,
            "sleep": plan.sleep,
            "trace": None if plan.trace is None else plan.trace.name,
        },
        "rows": [_row(result) for result in outcome.results],
        "verdicts": [asdict(verdict) for verdict in outcome.verdicts],
        "skipped": outcome.skipped,
        "failed": outcome.failed,
        "notes": outcome.notes,
    }


def _row(result: Result) -> dict[str, object]:
    return {
        "name": result.name,
        "table": result.table,
        "title": result.title,
        "unit": result.unit,
        "contenders": {
            name: {
                "median": round(result.median(name), 3),
                "min": round(result.low(name), 3),
                "samples": [round(sample, 3) for sample in samples],
            }
            for name, samples in result.samples.items()
        },
    }


def as_markdown(outcome: Outcome, about: Mapping[str, object]) -> str:
    """Return one Markdown table per table of the outcome, then what is missing and why."""
    parts = [_caption(about)]
    parts += [f"### {table}\n\n{_table(outcome, table)}" for table in _tables(outcome)]
    if outcome.verdicts:
        parts.append(f"### goals\n\n{_goals(outcome.verdicts)}")
    for heading, entries in (
        ("Not measured", outcome.skipped),
        ("Failed", outcome.failed),
        ("Notes", outcome.notes),
    ):
        if entries:
            lines = [f"- {name}: {reason}" for name, reason in entries.items()]
            parts.append("\n".join([f"{heading}:", "", *lines]))
    return "\n\n".join(parts) + "\n"


def _peers(about: Mapping[str, object]) -> str:
    peers = about["peers"]
    if not isinstance(peers, Mapping):
        return ""
    named = [f"{name} {version}" for name, version in peers.items() if version is not None]
    return f" Peers: {', '.join(named)}." if named else ""


def _goals(verdicts: Sequence[Verdict]) -> str:
    lines = ["| figure | goal | measured | met |", "|---|--:|--:|---|"]
    for verdict in verdicts:
        measured = verdict.measured or "not measured"
        met = "yes" if verdict.met else "**no**"
        lines.append(f"| {verdict.claim} | {verdict.goal} | {measured} | {met} |")
    return "\n".join(lines)


def _tables(outcome: Outcome) -> list[str]:
    return list(dict.fromkeys(result.table for result in outcome.results))


def _caption(about: Mapping[str, object]) -> str:
    return (
        f"{about['date']}, {about['cpu']} ({about['cores']} cores), {about['system']}, "
        f"{about['python']}, penstock {about['penstock']}. Medians of one run with all contenders "
        f"interleaved: trust the ratios, not the absolute figures.{_peers(about)}"
    )


def _table(outcome: Outcome, table: str) -> str:
    columns = [result for result in outcome.results if result.table == table]
    names = list(dict.fromkeys(name for column in columns for name in column.samples))
    heads = [f"{c.title} ({c.unit})" if c.unit else c.title for c in columns]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "--:|" * len(columns)]
    for name in names:
        cells = [_cell(column, name) for column in columns]
        mark = " *" if name in outcome.notes else ""
        lines.append(f"| {name}{mark} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(column: Result, name: str) -> str:
    if name not in column.samples:
        return ""
    value = column.median(name)
    if column.digits is not None:
        return f"{value:,.{column.digits}f}"
    return f"{value:,.0f}" if value >= _LARGE else f"{value:.1f}"


def slug(table: str) -> str:
    """Return the short name of a table: its title up to the first colon, in hyphens."""
    head = table.split(":", maxsplit=1)[0]
    return re.sub(r"[^a-z0-9]+", "-", head.lower()).strip("-")


def update_tables(text: str, outcome: Outcome, about: Mapping[str, object]) -> str:
    """
    Return *text* with the tables of this run between their markers.

    The table ``cache operations`` goes between ``<!-- bench:cache-operations -->`` and
    ``<!-- /bench -->``; ``<!-- bench:caption -->`` takes the line about machine and versions.

    Raises:
        BenchError: *text* has no marker, or one for a table that this run does not have.
    """
    tables = {slug(table): _table(outcome, table) for table in _tables(outcome)}
    tables["caption"] = _caption(about)
    if outcome.verdicts:
        tables["goals"] = _goals(outcome.verdicts)

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in tables:
            msg = f"no table {name!r} in this run; it has {', '.join(tables)}"
            raise BenchError(msg)
        return f"<!-- bench:{name} -->\n{tables[name]}\n<!-- /bench -->"

    marker = r"<!-- bench:([a-z0-9-]+) -->.*?<!-- /bench -->"
    found, count = re.subn(marker, replace, text, flags=re.DOTALL)
    if not count:
        msg = "no <!-- bench:... --> marker to fill"
        raise BenchError(msg)
    return found
