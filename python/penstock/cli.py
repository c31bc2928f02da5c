"""The command line: ``penstock demo``, ``bench``, ``import-json`` and ``info``."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_OK: Final = 0
_FAILED: Final = 1
_USAGE: Final = 2
_INTERRUPTED: Final = 130
# What optional parts use; httptools only makes uvicorn faster.
_PACKAGES: Final = ("aiohttp", "httptools", "starlette", "uvicorn")
_EXIT_CODES: Final = "exit codes: 0 ok, 1 failed, 2 wrong usage, 130 interrupted"


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one command.

    Args:
        argv: The arguments; None takes them from ``sys.argv``.

    Returns:
        The exit code: 0 ok, 1 failed, 2 wrong usage, 130 on Ctrl-C.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(arguments)
    except SystemExit as stop:  # argparse: 0 after --help, 2 after wrong usage
        return stop.code if isinstance(stop.code, int) else _FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader has left, as in "penstock info | head -1"; keep the exit quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED


def _dispatch(arguments: list[str]) -> int:
    # Handed on whole: argparse cannot leave options of a subcommand alone.
    if arguments[:1] == ["bench"]:
        return _bench(arguments[1:])
    parser = _parser()
    args = parser.parse_args(arguments)
    if args.command == "import-json":
        code = _import(args)
    else:
        code = _demo(args) if args.command == "demo" else _info(as_json=args.json)
    sys.stdout.flush()  # here, where a reader that has left is caught
    return code


def _parser() -> argparse.ArgumentParser:
    from penstock.recording._import_command import add_import

    parser = argparse.ArgumentParser(
        prog="penstock",
        description="Caches, batches and limits for asyncio services, decided in Rust.",
        epilog=_EXIT_CODES,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_demo(commands)
    commands.add_parser("bench", help="measure penstock against its peers", add_help=False)
    add_import(commands, _EXIT_CODES)
    info = commands.add_parser(
        "info", help="show backend, versions and build", description="Show what is installed."
    )
    info.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    demo = commands.add_parser(
        "demo",
        help="the same requests to a real service, without and with @cached",
        description=(
            "Starts an ASGI service over a SQLite file of JSON documents, asks it for documents "
            "over HTTP, once as it is and once with @cached, then twice with an event recorded for "
            "each request, a commit each and with a Recorder, then as it is after a restart, "
            "without and with a second tier of its cache, and prints them side by side. "
            "Uses the loopback interface and a temporary directory only, under 60 seconds."
        ),
        epilog=_EXIT_CODES,
    )
    add = demo.add_argument
    add("--requests", type=int, default=10_000, metavar="N", help="per round (%(default)s)")
    add("--documents", type=int, default=20_000, metavar="N", help="in the database (%(default)s)")
    add("--concurrency", type=int, default=32, metavar="N", help="requests at a time (%(default)s)")
    add("--cache-size", type=int, metavar="N", help="maxsize (a quarter of the documents)")
    add("--seed", type=int, default=1, metavar="N", help="of documents and keys (%(default)s)")
    add("--redis", metavar="URL", help="the second tier of the restarted service (SQLite)")
    add("--trace", type=Path, metavar="FILE", help="one key per line, may be .gz (Zipf keys)")
    add("--json", action="store_true", help="print the result as JSON; progress goes to stderr")


def _demo(args: argparse.Namespace) -> int:
    from penstock.demo import DemoError, DemoOptions, run

    try:
        options = DemoOptions(
            requests=args.requests,
            documents=args.documents,
            concurrency=args.concurrency,
            seed=args.seed,
            trace=args.trace,
            cache_size=args.cache_size,
            as_json=args.json,
            redis=args.redis,
        )
        return run(options)
    except ValueError as error:
        return _complain("demo", error, _USAGE)
    except DemoError as error:
        return _complain("demo", error, _FAILED)


def _import(args: argparse.Namespace) -> int:
    import sqlite3

    from penstock.recording._import_command import run_import

    try:
        return run_import(args)
    except ValueError as error:
        return _complain("import-json", error, _USAGE)
    except OSError as error:
        return _complain("import-json", error, _FAILED)
    except sqlite3.Error as error:  # which does not say of which database
        return _complain("import-json", f"{args.db}: {error}", _FAILED)


def _complain(command: str, error: Exception | str, code: int) -> int:
    print(f"penstock {command}: error: {error}", file=sys.stderr)
    return code


def _bench(arguments: list[str]) -> int:
    from penstock.bench import main as bench

    return bench(arguments)


def _info(*, as_json: bool) -> int:
    import penstock

    about = {
        "penstock": penstock.__version__,
        "backend": penstock.BACKEND,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "build": penstock.build_info(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }
    if as_json:
        print(json.dumps(about, indent=2))
        return _OK
    for name, value in about.items():
        if isinstance(value, dict):
            print(f"{name}:")
            for key, part in value.items():
                print(f"  {key}: {'not installed' if part is None else part}")
        else:
            print(f"{name}: {value}")
    return _OK


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
