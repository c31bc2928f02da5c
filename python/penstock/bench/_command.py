"""``penstock bench``: measures the rows asked for and writes them down."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from penstock.bench._contenders import BUILTIN
from penstock.bench._model import QUICK, BenchError, Contender, Outcome, Plan, Row, Verdict
from penstock.bench._report import as_json, as_markdown, environment, update_tables
from penstock.bench._rows import ROWS, choose
from penstock.bench._subjects import distributions, refuse_debug_build

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Run", "main", "run_rows"]

_OK: Final = 0
_FAILED: Final = 1
_USAGE: Final = 2


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: what was found, where, and with what counts."""

    outcome: Outcome
    about: dict[str, object]
    plan: Plan


def main(
    argv: Sequence[str] | None = None,
    *,
    peers: Sequence[Contender] = (),
    judge: Callable[[Outcome], list[Verdict]] | None = None,
    prog: str = "penstock bench",
) -> int:
    """
    Run the command line.

    Args:
        argv: The arguments; None takes them from the process.
        peers: Contenders to measure beside penstock and the standard library.
        judge: Called with the outcome of a full (not quick) run; returns what it shows.
        prog: The name of the program in its help.

    Returns:
        0, whatever the verdicts; 1 if a contender failed; 2 if the run was refused.
    """
    arguments = _parser(prog).parse_args(argv)
    if arguments.list:
        width = max(len(row.name) for row in ROWS)
        print("\n".join(f"{row.name:<{width}}  {row.summary}" for row in ROWS))
        return _OK
    try:
        contenders = _wanted([*BUILTIN, *peers], arguments.contenders)
        _check_files(arguments)
        run = run_rows(choose(arguments.only), contenders, _plan(arguments))
        if judge is not None and not arguments.quick:
            run.outcome.verdicts = judge(run.outcome)
        print(as_markdown(run.outcome, run.about))
        _write(run, arguments)
    except BenchError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return _USAGE
    return _FAILED if run.outcome.failed else _OK


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog, description="Measure penstock's two backends side by side, in one run."
    )
    add = parser.add_argument
    add("--list", action="store_true", help="name the rows and stop")
    add("--only", nargs="+", metavar="ROW", help="rows to run; 'cache' is every 'cache.…'")
    add("--contenders", nargs="+", metavar="TEXT", help="only those whose name contains a TEXT")
    add("--quick", action="store_true", help="tiny counts: shows that it works, measures nothing")
    add("--json", type=Path, metavar="FILE", help="write the results, all samples included")
    add("--markdown", type=Path, metavar="FILE", help="write the tables")
    add("--update", type=Path, nargs="+", metavar="FILE", help="fill <!-- bench:… --> markers")
    add("--trace", type=Path, metavar="FILE", help="hit ratio of this trace: a key per line, .gz")
    add("--sizes", type=_size, nargs="+", metavar="N", help="cache sizes for the hit ratio")
    return parser


def _size(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        msg = f"a size must be an int >= 1, got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _plan(arguments: argparse.Namespace) -> Plan:
    plan = QUICK if arguments.quick else Plan()
    return replace(plan, trace=arguments.trace, sizes=tuple(arguments.sizes or ()))


def _wanted(contenders: Sequence[Contender], texts: Sequence[str] | None) -> list[Contender]:
    if texts is None:
        return list(contenders)
    found = [c for c in contenders if any(text in c.name for text in texts)]
    if not found:
        msg = f"no contender's name contains {' or '.join(map(repr, texts))}"
        raise BenchError(msg)
    return found


def run_rows(rows: Sequence[Row], contenders: Sequence[Contender], plan: Plan) -> Run:
    """
    Measure *rows*; progress, and who is missing, goes to standard error.

    Raises:
        BenchError: The extension is a debug build.
    """
    package = importlib.import_module("penstock")
    refuse_debug_build(package)
    outcome = Outcome()
    told: set[str] = set()
    for row in rows:
        print(f"bench: {row.name} ...", file=sys.stderr, flush=True)
        row.measure(row, [c for c in contenders if row.kind in c.kinds], plan, outcome)
        for name, reason in (outcome.skipped | outcome.failed).items():
            if name not in told:
                told.add(name)
                print(f"bench: NOT MEASURED: {name}: {reason}", file=sys.stderr, flush=True)
    if spoilt := outcome.disturbed():
        outcome.notes["busy machine"] = f"run again before quoting: {', '.join(spoilt)}"
    return Run(outcome, environment(package, distributions(contenders)), plan)


def _check_files(arguments: argparse.Namespace) -> None:
    """Find out before minutes of measuring, not after, that a file cannot be written."""
    try:
        for path in filter(None, (arguments.json, arguments.markdown)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("a").close()
        for path in arguments.update or ():
            path.open("r+").close()
    except OSError as error:
        msg = f"cannot write: {error}"
        raise BenchError(msg) from error


def _write(run: Run, arguments: argparse.Namespace) -> None:
    if arguments.json is not None:
        text = json.dumps(as_json(run.outcome, run.about, run.plan), indent=1)
        arguments.json.write_text(text + "\n", encoding="utf-8")
    if arguments.markdown is not None:
        text = as_markdown(run.outcome, run.about)
        arguments.markdown.write_text(text, encoding="utf-8")
    for path in arguments.update or ():
        text = update_tables(path.read_text(encoding="utf-8"), run.outcome, run.about)
        path.write_text(text, encoding="utf-8")
