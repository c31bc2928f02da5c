"""A contender in a process of its own: it takes its turns among the others, and times itself."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from typing import IO, TYPE_CHECKING, Final, Self, cast

from penstock.bench._memory_rows import child_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from penstock.bench._model import Contender

__all__ = ["ProcessRunner"]

_TIMEOUT: Final = 120.0


class ProcessRunner:
    """
    Runs the loop of a contender in a child process, over keys that JSON can carry.

    Args:
        contender: What to build there; its ``needs`` are for the caller to check.
        body: The timed statements.
        keys: What the loop goes over.
        given: The names that ``make`` finds; what JSON can carry.

    Raises:
        RuntimeError: The contender cannot be built there; the message is its last line.
    """

    __slots__ = ("_errors", "_process", "operations")

    def __init__(
        self,
        contender: Contender,
        body: str,
        keys: Sequence[object],
        given: Mapping[str, object] | None = None,
    ) -> None:
        self.operations = len(keys)
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by __exit__
        self._process = subprocess.Popen(  # this very interpreter
            [sys.executable, "-m", "penstock.bench._runner_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=child_environment(contender.backend),
        )
        asked = {
            "make": contender.make,
            "bind": contender.bind,
            "body": body,
            "keys": list(keys),
            "given": dict(given or {}),
        }
        try:
            self._ask(json.dumps(asked))
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __enter__(self) -> Self:
        """Return the runner."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the process."""
        watch = self._watch()
        try:
            self._process.communicate()  # the end of its input is the end of its work
        finally:
            watch.cancel()
            self._errors.close()

    def __call__(self, passes: int) -> int:
        """Run *passes* passes there; return the nanoseconds that the child has measured."""
        return int(self._ask(str(passes)))

    def _ask(self, line: str) -> str:
        watch = self._watch()
        try:
            self._input.write(f"{line}\n")
            self._input.flush()
            answer = cast("IO[str]", self._process.stdout).readline()
        except OSError:  # it has ended; what it said is in its errors
            answer = ""
        finally:
            watch.cancel()
        if not answer:
            raise RuntimeError(self._last_words())
        return answer

    @property
    def _input(self) -> IO[str]:
        return cast("IO[str]", self._process.stdin)

    def _watch(self) -> threading.Timer:
        """Return a running timer that kills the process: one that hangs must not hang the run."""
        watch = threading.Timer(_TIMEOUT, self._process.kill)
        watch.daemon = True
        watch.start()
        return watch

    def _last_words(self) -> str:
        status = self._process.wait(_TIMEOUT)
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else f"its process ended with status {status}"
