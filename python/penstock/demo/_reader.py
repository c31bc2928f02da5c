"""What one uncached read does: five indexed queries, one JSON document, one rendered answer."""

from __future__ import annotations

import html
import json
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Final, TypedDict

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["READ_DESCRIPTION", "DocumentReader"]

READ_DESCRIPTION: Final = (
    "5 indexed SQLite queries (document, author, tags, related documents, comments), "
    "the JSON document parsed, text and summary rendered"
)

_DOCUMENT = "SELECT title, author_id, body FROM documents WHERE id = ?"
_AUTHOR = """
SELECT name, country, (SELECT COUNT(*) FROM documents WHERE author_id = authors.id)
FROM authors WHERE id = ?"""
_TAGS = """
SELECT name FROM document_tags JOIN tags ON tags.id = tag_id WHERE document_id = ? ORDER BY name"""
_RELATED = """
SELECT documents.id, documents.title, shared FROM (
    SELECT other.document_id AS id, COUNT(*) AS shared
    FROM document_tags AS mine JOIN document_tags AS other ON other.tag_id = mine.tag_id
    WHERE mine.document_id = ?1 AND other.document_id <> ?1
    GROUP BY other.document_id ORDER BY shared DESC, other.document_id LIMIT 5
) AS best JOIN documents ON documents.id = best.id ORDER BY shared DESC, documents.id"""
_COMMENTS = """
SELECT authors.name, stars, text FROM comments JOIN authors ON authors.id = comments.author_id
WHERE document_id = ? ORDER BY comments.rowid"""


class _Section(TypedDict):
    heading: str
    paragraphs: list[str]


class _Body(TypedDict):
    published: str
    sections: list[_Section]


class DocumentReader:
    """
    Reads documents from the demo's database, with one connection per thread.

    Cost: thread-safe; counts its reads and the processor time they took.
    """

    __slots__ = ("_connections", "_local", "_lock", "_path", "cpu_seconds", "reads")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._lock = threading.Lock()
        self._connections: list[sqlite3.Connection] = []
        self.reads = 0
        self.cpu_seconds = 0.0
        self._connection()

    def read(self, document_id: int) -> bytes | None:
        """
        Return the rendered document, or None when there is none of that id.
        """
        started = time.thread_time()
        answer = self._read(document_id)
        spent = time.thread_time() - started
        with self._lock:
            self.reads += 1
            self.cpu_seconds += spent
        return answer

    def close(self) -> None:
        """
        Close the connections of all threads; no read may be running.
        """
        with self._lock:
            while self._connections:
                self._connections.pop().close()

    def _connection(self) -> sqlite3.Connection:
        db: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if db is None:
            uri = f"{self._path.absolute().as_uri()}?mode=ro"
            # Used by one thread only; another one closes it at the end.
            db = sqlite3.connect(uri, uri=True, check_same_thread=False)
            with self._lock:
                self._connections.append(db)
            self._local.connection = db
        return db

    def _read(self, document_id: int) -> bytes | None:
        query = self._connection().execute
        found = query(_DOCUMENT, (document_id,)).fetchone()
        if found is None:
            return None
        title, author_id, text = found
        author, country, written = query(_AUTHOR, (author_id,)).fetchone()
        comments = query(_COMMENTS, (document_id,)).fetchall()
        body: _Body = json.loads(text)
        answer = {
            "id": document_id,
            "title": title,
            "published": body["published"],
            "author": {"name": author, "country": country, "documents": written},
            "tags": [name for (name,) in query(_TAGS, (document_id,))],
            "stars": sum(stars for _, stars, _ in comments) / len(comments) if comments else None,
            "comments": [{"by": by, "stars": stars, "text": said} for by, stars, said in comments],
            "related": [
                {"id": other, "title": name, "shared_tags": shared}
                for other, name, shared in query(_RELATED, (document_id,))
            ],
            **_render(body["sections"]),
        }
        return json.dumps(answer, separators=(",", ":")).encode()


def _render(sections: list[_Section]) -> dict[str, object]:
    words = sum(len(text.split()) for section in sections for text in section["paragraphs"])
    parts: list[str] = []
    for number, section in enumerate(sections, start=1):
        parts.append(f'<h2 id="s{number}">{html.escape(section["heading"])}</h2>')
        parts.extend(f"<p>{html.escape(text)}</p>" for text in section["paragraphs"])
    return {
        "contents": [section["heading"] for section in sections],
        "excerpt": sections[0]["paragraphs"][0][:160],
        "words": words,
        "minutes": max(1, round(words / 220)),
        "html": "\n".join(parts),
    }
