"""The demo's database and what one uncached read makes of it."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

import pytest

from penstock.demo._documents import build_database
from penstock.demo._reader import DocumentReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _build(path: Path, documents: int = 60, seed: int = 1) -> Path:
    for _ in build_database(path, documents, seed):
        pass
    return path


def _dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return list(db.iterdump())


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(tmp_path_factory.mktemp("demo") / "documents.sqlite")


@pytest.fixture
def reader(database: Path) -> Iterator[DocumentReader]:
    reader = DocumentReader(database)
    yield reader
    reader.close()


def _read(reader: DocumentReader, document_id: int) -> dict[str, Any]:
    body = reader.read(document_id)
    assert body is not None
    return cast("dict[str, Any]", json.loads(body))


def test_same_seed_makes_the_same_documents(tmp_path: Path) -> None:
    first = _dump(_build(tmp_path / "a"))
    assert first == _dump(_build(tmp_path / "b"))
    assert first != _dump(_build(tmp_path / "c", seed=2))


def test_build_reports_how_far_it_is(tmp_path: Path) -> None:
    assert list(build_database(tmp_path / "x", 600, 1)) == [250, 500, 600]


def test_abandoned_build_closes_its_file(tmp_path: Path) -> None:
    steps = build_database(tmp_path / "x", 600, 1)
    next(steps)
    steps.close()
    (tmp_path / "x").unlink()


def test_one_document_is_enough(tmp_path: Path) -> None:
    reader = DocumentReader(_build(tmp_path / "x", documents=1))
    assert _read(reader, 1)["related"] == []
    reader.close()


def test_read_joins_what_belongs_to_the_document(database: Path, reader: DocumentReader) -> None:
    answer = _read(reader, 7)
    with closing(sqlite3.connect(database)) as db:
        title, author, body = db.execute(
            "SELECT title, author_id, body FROM documents WHERE id = 7"
        ).fetchone()
        (name,) = db.execute("SELECT name FROM authors WHERE id = ?", (author,)).fetchone()
        comments = db.execute("SELECT stars FROM comments WHERE document_id = 7").fetchall()
    assert answer["title"] == title
    assert answer["author"]["name"] == name
    assert len(answer["tags"]) == 5
    assert [comment["stars"] for comment in answer["comments"]] == [stars for (stars,) in comments]
    headings = [section["heading"] for section in json.loads(body)["sections"]]
    assert answer["contents"] == headings
    assert all(f">{heading}</h2>" in answer["html"] for heading in headings)


def test_related_documents_share_the_most_tags(tmp_path: Path) -> None:
    database = _build(tmp_path / "x", documents=1_000)
    with closing(sqlite3.connect(database)) as db:
        rows = db.execute("SELECT document_id, tag_id FROM document_tags").fetchall()
    tags: dict[int, set[int]] = {}
    for document, tag in rows:
        tags.setdefault(document, set()).add(tag)
    shared = [(-len(tags[3] & theirs), other) for other, theirs in tags.items() if other != 3]
    reader = DocumentReader(database)
    related = _read(reader, 3)["related"]
    reader.close()
    assert [(-each["shared_tags"], each["id"]) for each in related] == sorted(shared)[:5]


def test_unknown_document_is_none(reader: DocumentReader) -> None:
    assert reader.read(61) is None


def test_reads_of_all_threads_are_counted(database: Path) -> None:
    reader = DocumentReader(database)

    def read_all() -> None:
        for document_id in range(1, 26):
            reader.read(document_id)

    threads = [threading.Thread(target=read_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reader.reads == 100
    assert reader.cpu_seconds > 0
    reader.close()


def test_reader_needs_an_existing_file(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        DocumentReader(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_reader_cannot_write(reader: DocumentReader) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._connection().execute("DELETE FROM documents")
