"""Search by words: BM25 by SQLite's FTS5, and how much of a query's wording an item has."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ragvis.store.connection import select_in
from ragvis.store.rows import Where
from ragvis.types import Modality

if TYPE_CHECKING:
    import apsw

# Words that say how something is asked, not what about.
_STOP = frozenset(
    "a an and are as at be been but by can could did do does for from had has have how i if in is "
    "it its many me much must my of on or our shall should so tell than that the their them there "
    "these they this those to was we were what when where which who whom whose why will with would "
    "you your show shows shown image images picture pictures photo photos".split()
)


def content_words(query: str) -> list[str]:
    """The query's words that say what it is about, each once."""
    found = (w for w in re.findall(r"\w+", query.lower()) if w not in _STOP)
    return list(dict.fromkeys(found))


def search(
    db: apsw.Connection, query: str, modality: Modality, k: int, where: Where | None = None
) -> list[tuple[int, float]]:
    """BM25 over text, title, heading and file name: (id, score), best first, higher better."""
    found = content_words(query)
    if not found:
        return []
    only = f" AND {holding(where)}" if where else ""
    rows: list[Any] = db.execute(
        "SELECT item.id, -bm25(item_words) AS score FROM item_words"
        " JOIN item ON item.id = item_words.rowid"
        f" WHERE item_words MATCH ? AND item.modality = ?{only}"
        " ORDER BY score DESC, item.id LIMIT ?",
        (" OR ".join(f'"{w}"' for w in found), modality, *(where.values if where else ()), k),
    ).fetchall()
    return [(int(i), float(score)) for i, score in rows]


def holding(where: Where) -> str:
    """The condition that an item's document lies in such a file."""
    return f"item.document_id IN (SELECT document_id FROM file WHERE {where.sql})"


class Shared(NamedTuple):
    """What an item has of a query's wording.

    Attributes:
        share: 0..1, rare words weighing more.
        surprise: nats by which sharing these words by chance is rarer than once in the index.
    """

    share: float
    surprise: float


def coverage(
    db: apsw.Connection, query: str, ids: Sequence[int], columns: str = ""
) -> dict[int, Shared]:
    """What each item has of a query's wording, in some columns alone where these are named.

    A word weighs its inverse document frequency, ln(1 + (N - n + 0.5) / (n + 0.5)), so one that
    stands nowhere in the index weighs most and lowers every item's share.
    """
    found = content_words(query)
    if not found or not ids:
        return {}
    total = int(db.execute("SELECT COUNT(*) FROM item").get)
    weights = {w: math.log1p((total - n + 0.5) / (n + 0.5)) for w, n in _counts(db, found)}
    whole = sum(weights.values())
    shared = dict.fromkeys(ids, 0.0)
    for word, weight in weights.items():
        for item in _having(db, word, ids, columns):
            shared[item] += weight
    once = math.log(total)
    return {i: Shared(found / whole, max(0.0, found - once)) for i, found in shared.items()}


def _counts(db: apsw.Connection, found: Sequence[str]) -> list[tuple[str, int]]:
    query = "SELECT COUNT(*) FROM item_words WHERE item_words MATCH ?"
    return [(w, int(db.execute(query, (f'"{w}"',)).get)) for w in found]


def _having(db: apsw.Connection, word: str, ids: Sequence[int], columns: str) -> Iterator[int]:
    expression = f'{{{columns}}} : "{word}"' if columns else f'"{word}"'
    query = "SELECT rowid FROM item_words WHERE item_words MATCH ? AND rowid IN ({})"
    yield from (int(row[0]) for row in select_in(db, query, ids, (expression,)))
