"""What a process has acknowledged outlives it, wherever it is killed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import signal
import sqlite3
import tempfile
import time
import traceback
import warnings
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from tests.stress.harness import in_child, rounds

from penstock.files import FileWriter
from penstock.recording import Recorder, import_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KILLS = 50
#: A file has lines of this, so that half of one shows.
_BLOCK = 997


class Victim:
    """A fork that works until it is killed, and says what is done, a line at a time."""

    def __init__(self, work: Callable[[Callable[[str], None]], None]) -> None:
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            # Of a fork while there are threads, from 3.12 on: there is the one that watches this.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid = os.fork()
        if self._pid == 0:
            os.close(reader)
            code = 1
            try:
                signal.alarm(10)
                work(lambda text: _write_all(writer, f"{text}\n".encode()))
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(writer)
        self._reader = os.fdopen(reader, "rb")

    def lines(self) -> Iterator[str]:
        """What it says; half a line is none."""
        return (line.decode().strip() for line in self._reader if line.endswith(b"\n"))

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)

    def wait(self) -> int:
        self._reader.close()
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def content(number: int) -> str:
    """The content number *number* of a file: some hundred kilobytes, that can be checked."""
    body = f"{number:8}" * (_BLOCK * (number % 20 + 1))
    return f"{number}\n{hashlib.sha256(body.encode()).hexdigest()}\n{body}"


def number_of(path: Path) -> int:
    """Return which content a file has; it must have one whole."""
    text = path.read_text("utf-8")
    number = int(text.partition("\n")[0])
    assert text == content(number), f"{path} is not whole"
    return number


def recorder(path: Path, **options: object) -> Recorder:
    columns = {"ts": "REAL", "id": "INTEGER", "text": "TEXT"}
    return Recorder(path, "rows", columns, partition_by="day", linger=0.001, **options)  # type: ignore[arg-type]


def live(directory: Path, base: int, say: Callable[[str], None]) -> None:
    """Record rows and write files until the end."""

    async def record(rows: Recorder, first: int) -> None:
        for number in range(first, base + 1_000_000, 20):
            # Most of today, some of the day before: two tables in one transaction.
            ts = 1e9 - 86_400 * (number % 3 == 0)
            if number // 20 % 5 == 0:  # in between: nobody waits for it
                rows.put_nowait((ts, number, "put"))
            else:
                await rows.record((ts, number, "x" * (number % 100)))
                say(f"row {number}")

    async def write(files: FileWriter, name: str) -> None:
        for number in range(base, base + 1_000_000):
            await files.write(directory / name, content(number))
            say(f"file {name} {number}")

    async def main() -> None:
        async with (
            recorder(directory / "rows.sqlite", max_items=64) as rows,
            FileWriter(window=0.001) as files,
            asyncio.TaskGroup() as group,
        ):
            for first in range(base, base + 20):
                group.create_task(record(rows, first))
            for name in ("a", "b"):
                group.create_task(write(files, name))

    asyncio.run(main())


def rows_of(path: Path) -> list[int]:
    """Return the ids of all rows, in all tables."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        names = db.execute("SELECT name FROM sqlite_master WHERE name LIKE 'rows_%'").fetchall()
        return [row[0] for (name,) in names for row in db.execute(f"SELECT id FROM {name}")]


@in_child(limit=45.0)
def test_what_is_acknowledged_outlives_the_process() -> None:
    moments = random.Random("kill a recorder")
    for _ in range(min(rounds(1), 5)):
        with tempfile.TemporaryDirectory() as name:
            kill_again_and_again(Path(name), moments)


def kill_again_and_again(directory: Path, moments: random.Random) -> None:
    acknowledged: set[int] = set()
    written = {"a": -1, "b": -1}
    for turn in range(KILLS):
        victim = Victim(lambda say, turn=turn: live(directory, turn * 1_000_000, say))  # type: ignore[misc]
        last = moments.randrange(400)
        for count, line in enumerate(victim.lines()):
            kind, *words = line.split()
            if kind == "row":
                acknowledged.add(int(words[0]))
            else:
                written[words[0]] = int(words[1])
            if count == last:
                time.sleep(moments.random() * 0.004)  # to the middle of something
                victim.kill()  # what it has said until then is read to the end
        assert victim.wait() == -signal.SIGKILL
        found = rows_of(directory / "rows.sqlite")
        assert len(found) == len(set(found)), "a row is there twice"
        assert acknowledged <= set(found), "a row is lost"
        for file, number in written.items():
            assert number < 0 or number_of(directory / file) >= number
    assert len(acknowledged) > 50 * KILLS
    assert min(written.values()) > 0


@in_child(limit=45.0)
def test_import_that_is_killed_goes_on_where_it_was() -> None:
    moments = random.Random("kill an import")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        source, path = directory / "old.json", directory / "rows.sqlite"
        with source.open("w") as file:
            for number in range(4000):
                file.write(json.dumps({"ts": number * 60.0, "id": number, "text": "ü"}) + "\n")

        def bring(say: Callable[[str], None]) -> None:
            async def main() -> None:
                async with recorder(path) as rows:
                    await import_json(
                        source, rows, batch=20, on_progress=lambda at: say(str(at.position))
                    )

            asyncio.run(main())

        kills = 0
        while True:
            victim = Victim(bring)
            last = moments.randrange(25)
            for count, _ in enumerate(victim.lines()):
                if count == last:
                    time.sleep(moments.random() * 0.002)
                    victim.kill()
            if victim.wait() == 0:
                break
            kills += 1
        assert kills >= 5
        assert sorted(rows_of(path)) == list(range(4000))
