"""Search by words: BM25 by SQLite's FTS5, and how much of a query's wording an item has."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ragvis.store.connection import select_in
from ragvis.store.rows import Where
from ragvis.store.tokens import Word, indexed, words_of
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
_OWN = (
    "{body title section name near}"  # columns that are an item's own, and not all its document's
)
_WEIGHTS = "1.0, 1.0, 1.0, 1.0, 1.0, 0.3"  # of all columns, in bm25()
_BY_METADATA = 0.5  # what a word counts that stands in the document's metadata alone
_AKIN = 0.5  # what all pieces count of what is not there as a whole: LK-7719-C is no LK-7719-B
_SOUGHT = 500  # times as many items that have a word cost as much to read as one to seek


def content(query: str) -> list[Word]:
    """The query's words that say what it is about, each once."""
    found = {word.text: word for word in words_of(query) if word.text not in _STOP}
    return list(found.values())


def content_words(query: str) -> list[str]:
    """``content``, in the form to compare words by."""
    return [word.text for word in content(query)]


def missing(words: Iterable[Word], text: str) -> list[Word]:
    """Those of the words that a text has neither in one of their forms nor in pieces."""
    there = f" {indexed(text)} "
    return [
        word
        for word in words
        if not any(f" {form} " in there for form in word.forms)
        and not (word.pieces and all(f" {piece} " in there for piece in word.pieces))
    ]


def search(
    db: apsw.Connection, query: str, modality: Modality, k: int, where: Where | None = None
) -> list[tuple[int, float]]:
    """BM25 over text, title, heading, file name and metadata: (id, score), best first, higher
    better."""
    found = content(query)
    if not found:
        return []
    forms = dict.fromkeys(form for word in found for form in (*word.forms, *word.pieces))
    only = f" AND {holding(where)}" if where else ""
    rows: list[Any] = db.execute(
        f"SELECT item.id, -bm25(item_words, {_WEIGHTS}) AS score FROM item_words"
        " JOIN item ON item.id = item_words.rowid"
        f" WHERE item_words MATCH ? AND item.modality = ?{only}"
        " ORDER BY score DESC, item.id LIMIT ?",
        (_any_of(forms), modality, *(where.values if where else ()), k),
    ).fetchall()
    return [(int(i), float(score)) for i, score in rows]


def _any_of(forms: Iterable[str]) -> str:
    """FTS5's expression for what has one of them."""
    return " OR ".join(f'"{form}"' for form in forms)


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


Coverage = dict[int, Shared]  # of items, by id


def coverage(db: apsw.Connection, query: str, ids: Sequence[int], columns: str = "") -> Coverage:
    """What each item has of a query's wording, in some columns alone where these are named.

    A word weighs its inverse document frequency, ln(1 + (N - n + 0.5) / (n + 0.5)), so one that
    stands nowhere in the index weighs most and lowers every item's share.
    """
    found = content(query)
    if not found or not ids:
        return {}
    words = _Words(db, ids, columns)
    whole = 0.0
    shared = dict.fromkeys(ids, 0.0)
    for word in found:
        weight = words.weight(word.forms)
        whole += weight
        for item, part in words.parts(word).items():
            shared[item] += weight * part
    once = math.log(words.total)
    return {i: Shared(found / whole, max(0.0, found - once)) for i, found in shared.items()}


class _Words:
    """How rare words are in an index, and which of some items have them."""

    def __init__(self, db: apsw.Connection, ids: Sequence[int], columns: str) -> None:
        self._db = db
        self._ids = ids
        self._columns = columns
        self._counts: dict[str, int] = {}
        self.total = int(db.execute("SELECT COUNT(*) FROM item").get)
        # Most indexes have none, and need not be asked twice
        self._has_metadata = bool(db.execute("SELECT EXISTS (SELECT 1 FROM property)").get)

    def weight(self, forms: Sequence[str]) -> float:
        """The inverse document frequency of what has one of these forms."""
        n = self._count(_any_of(forms))
        return math.log1p((self.total - n + 0.5) / (n + 0.5))

    def parts(self, word: Word) -> dict[int, float]:
        """How much of a word each item has, 0..1, where it has any."""
        found = self._having(word.forms)
        weights = {piece: self.weight((piece,)) for piece in word.pieces}
        akin: dict[int, float] = {}
        for piece, weight in weights.items():
            for item, part in self._having((piece,)).items():
                akin[item] = akin.get(item, 0.0) + _AKIN * part * weight / sum(weights.values())
        return {i: max(found.get(i, 0.0), akin.get(i, 0.0)) for i in found | akin}

    def _having(self, forms: Sequence[str]) -> dict[int, float]:
        expression = _any_of(forms)
        n = self._count(expression)
        if self._columns:
            return dict.fromkeys(self._matching(f"{{{self._columns}}} : ({expression})", n), 1.0)
        found = dict.fromkeys(self._matching(expression, n), 1.0)
        if found and self._has_metadata:
            own = set(self._matching(f"{_OWN} : ({expression})", n))
            found = {i: 1.0 if i in own else _BY_METADATA for i in found}
        return found

    def _count(self, expression: str) -> int:
        if expression not in self._counts:
            query = "SELECT COUNT(*) FROM item_words WHERE item_words MATCH ?"
            self._counts[expression] = int(self._db.execute(query, (expression,)).get)
        return self._counts[expression]

    def _matching(self, expression: str, n: int) -> list[int]:
        # A plain rowid is sought one by one, which is slower until there are very many others
        rowid = "+rowid" if n < _SOUGHT * len(self._ids) else "rowid"
        query = f"SELECT rowid FROM item_words WHERE item_words MATCH ? AND {rowid} IN ({{}})"
        return [int(row[0]) for row in select_in(self._db, query, self._ids, (expression,))]
