"""Retrieval per modality, by CLIP and by words, fused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ragvis._arguments import as_list, require_many, require_part, require_text
from ragvis.documents.model import storable
from ragvis.documents.reader import kind_of
from ragvis.errors import IndexMismatch, UsageError
from ragvis.index import Index, QueryKind
from ragvis.index.filters import parse_filter
from ragvis.retriever.folding import Found, fold, join
from ragvis.retriever.fusion import merge
from ragvis.retriever.scoring import Query, Scored, Search, diverse
from ragvis.store.rows import EVERY, ItemRow, Where
from ragvis.types import MODALITIES, Hit, ModalityChoice, ModalityWord, modality_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragvis.encoder.names import Names
    from ragvis.media.images import Picture
    from ragvis.retriever.rerank import Reranker

    Vectors = NDArray[np.float32]
    PictureSource = str | Path | bytes | Picture

_CANDIDATES = 64  # of each ranking, at least
_MOST = 10**9  # hits that may be asked for
_MORE = 3  # times as many hits are ranked as are wanted: up to three are joined
KNOWN_PICTURE = 0.5  # score above which an indexed picture shows what the query's picture shows
SAME_PICTURE = 0.97  # cosine above which two pictures are one, re-encoded or resized
# What cameras and scanners call their pictures says nothing.
_NUMBERED = re.compile(
    r"(img|dscn?|pxl|dji|gopr|image|photo|picture|scan|screenshot)?[\W\d_]*", re.I
)


@dataclass(frozen=True, slots=True)
class Ranked:
    """Hits of each modality, best first."""

    passages: list[Hit]
    images: list[Hit]
    generation: int  # of the index that was searched


class Retriever:
    """Searches an index. Its methods may be called from several threads.

    Args:
        index: an open index. Searches follow it: what a writer commits is found by the next one.
        reranker: judges the best passages for a text with a model; None leaves them as they are.
    """

    def __init__(self, index: Index, reranker: Reranker | None = None) -> None:
        require_part(index, "open index", "reading", "Retriever(Index.open(folder)).")
        self.index = index
        self.reranker = reranker

    def search(
        self,
        query: str | None = None,
        *,
        image: PictureSource | Sequence[PictureSource] | None = None,
        like: str | None = None,
        k: int = 8,
        modality: ModalityWord = "any",
        filter: str | None = None,
        diversity: float = 0.0,
    ) -> list[Hit]:
        """The best ``k`` hits for a text, a picture, both together, or an item.

        Args:
            query: what is looked for, in words.
            image: a picture: a path, a URL, its bytes, or a PIL image; or a list of them, whose
                mean is looked for.
            like: the ``id`` of a hit, to find more like it.
            k: most hits to return.
            modality: "text" for passages only, "image" for pictures only; "passage" and
                "document", "picture" and "photo" mean the same.
            filter: conditions on files that hold before the search, such as
                ``path:invoices/* type:pdf after:2024-01``.
            diversity: 0..1; how much unlike one another the hits shall be.

        Raises:
            UsageError: nothing to search for, a picture that cannot be opened, an item that is
                not there, or an argument out of its range.
            IndexMismatch: the index's encoder is not the one that made it any more.
            ModelError: the encoder or the reranker's model cannot be loaded, or fails.
            PromptTooLong: the query does not fit the reranker's model.
        """
        modality = _checked(k, modality, diversity)
        where = parse_filter(filter) if filter else None
        pictures = [] if image is None else as_list(image)
        if like is not None and (query or pictures):
            raise UsageError("an item is looked for by itself", "Leave out the text and pictures.")
        asked = self.like(like) if like is not None else self.query(query, pictures)
        ranked = self.rank(asked, _MORE * k, where, diversity, judge=modality != "image")
        return _chosen(ranked, k, modality)

    def search_many(
        self,
        queries: Iterable[str],
        *,
        k: int = 8,
        modality: ModalityWord = "any",
        filter: str | None = None,
    ) -> list[list[Hit]]:
        """``search`` for many texts, which are encoded in batches; hits of each. Raises as it."""
        require_many(queries, "query", "search")
        queries = list(queries)
        modality = _checked(k, modality, 0.0)
        where = parse_filter(filter) if filter else None
        asked = self._text_queries(queries)
        found = self.rank_many(asked, _MORE * k, where, judge=modality != "image")
        return [_chosen(ranked, k, modality) for ranked in found]

    def query(self, text: str | None, pictures: Sequence[PictureSource] = ()) -> Query:
        """Encode what is looked for; several pictures become their mean.

        One picture that an indexed one shows too has a name by that, and another one by the
        encoder where that is sure. Passages are looked for by the name as well: CLIP alone hardly
        gets from a picture to a text.
        """
        text = storable(require_text(text, "query").strip()) if str(text or "").strip() else None
        if not text and not pictures:
            raise UsageError("nothing to search for", "Give a text, a picture, or both.")
        encoder = self.index.encoder
        vectors: dict[QueryKind, Vectors] = {}
        if text:
            vectors |= self._text_queries([text])[0].vectors
        if pictures:
            from ragvis.media.source import load_picture

            rows = encoder.encode_pictures([load_picture(p) for p in pictures])
            mean = rows.mean(axis=0)
            vectors["image"] = mean / max(float(np.linalg.norm(mean)), 1e-12)
        query = Query(text, vectors, encoder=encoder.fingerprint)
        return self._with_name(query) if len(pictures) == 1 else query

    def _with_name(self, query: Query) -> Query:
        photo = replace(query, text=None, vectors={"image": query.vectors["image"]})
        with self.index.reading() as view:
            best = self._found(Search(self.index, view, "image"), [photo], 1, 0.0)[0]
        known = best[0] if best and _is_known(best[0]) else None
        told = _told_of(known) if known else []
        # The title of a document that a picture is in is not its name
        own = told if known and kind_of(known.path) == "picture" else told[1:]
        name = next(filter(None, reversed(own)), "") or self._called(query.vectors["image"])
        # The question comes last: a text that is too long for the encoder keeps its end.
        said = dict.fromkeys(filter(None, (*told, name, query.text)))
        if not [part for part in said if part != query.text]:
            return replace(query, known=known, name=name)
        text = " ".join(said)
        named = self._text_queries([text])[0]
        # Its vector stays where the picture is all that was given.
        vectors = named.vectors if query.text else {**named.vectors, **query.vectors}
        return replace(query, known=known, name=name, by_name=replace(named, vectors=vectors))

    def _called(self, vector: Vectors) -> str:
        names = self.index.encoder.names
        return names.of(vector[None])[0] if names else ""

    def _text_queries(self, texts: Sequence[str]) -> list[Query]:
        fitting = [self._fitting(require_text(text, "query")) for text in texts]
        if not texts:
            return []
        encoder = self.index.encoder
        rows, known = encoder.encode_queries(fitting), encoder.fingerprint
        return [
            Query(t.strip(), {"text": row}, encoder=known)
            for t, row in zip(texts, rows, strict=True)
        ]

    def _fitting(self, text: str) -> str:
        """A query longer than the encoder reads keeps its end, where questions are asked."""
        encoder = self.index.encoder
        words = text.split()[-encoder.max_tokens :]
        while len(words) > 1 and encoder.count_tokens([" ".join(words)])[0] > encoder.max_tokens:
            words = words[1 + len(words) // 16 :]
        return " ".join(words)

    def like(self, item: str) -> Query:
        """The query that an item itself is.

        Raises:
            UsageError: there is no such item.
        """
        require_text(item, "item's id")
        number = int(item[1:]) if item[1:].isdecimal() and len(item) < 20 else -1
        with self.index.reading() as view:
            row = self.index.items([number]).get(number)
            if row is None or item[0] != row.modality[0]:
                raise UsageError(f"no item {item!r} in the index", "Take an id from search --json.")
            vector = view.vectors[row.modality].rows(np.array([number]))[0]
        return Query(None, {row.modality: vector}, number, encoder=view.fingerprint)

    def rank(
        self,
        query: Query,
        k: int,
        where: Where | None = None,
        diversity: float = 0.0,
        judge: bool = True,
    ) -> Ranked:
        """Hits of each modality for an encoded query, at most ``k`` (at least 1) each.

        Passages are as they were cut: a small model that is given long ones takes a neighbour's
        value for the one that was asked for.
        """
        return self.rank_many([query], k, where, diversity, judge)[0]

    def rank_many(
        self,
        queries: Sequence[Query],
        k: int,
        where: Where | None = None,
        diversity: float = 0.0,
        judge: bool = True,
    ) -> list[Ranked]:
        """``rank`` for several queries, from one generation and with one search of the vectors;
        ``judge``: use the reranker, if there is one."""
        with self.index.reading() as view:
            named = [query.by_name or query for query in queries]
            searches = {m: Search(self.index, view, m, where) for m in MODALITIES}
            passages = self._found(searches["text"], named, k, diversity)
            images = self._found(searches["image"], queries, k, diversity)
        pairs = zip(queries, passages, images, strict=True)
        return [
            Ranked(self._judged(q, texts) if judge else texts, pictures, view.generation)
            for q, texts, pictures in pairs
        ]

    def _found(
        self, search: Search, queries: Sequence[Query], k: int, diversity: float
    ) -> list[list[Hit]]:
        if any(query.encoder not in ("", search.view.fingerprint) for query in queries):
            # Between the encoding and now
            raise IndexMismatch("the index was made anew by another encoder", "Ask again.")
        wanted = max(_CANDIDATES, 4 * k)
        # An item's neighbours are found without loading the encoder
        encoder = self.index.loaded_encoder if search.modality == "image" else None
        names = encoder.names if encoder else None
        hits = []
        for query, near in zip(queries, search.nearest(queries, wanted), strict=True):
            candidates = search.candidates(query, wanted, near)
            ranked = diverse(candidates, len(candidates), diversity)
            hits.append(_looked_at(self._distinct(ranked, k, search.where or EVERY), names))
        return hits

    def _distinct(self, ranked: Sequence[Scored], k: int, where: Where) -> list[Found]:
        """The best ``k`` that do not say the same. Some more are read at first; all, where these
        were mostly copies of one another."""
        found: list[Found] = []
        for most in (2 * k + 8, len(ranked)):
            items = self.index.items((c.id for c in ranked[:most]), where)
            found = fold([(to_hit(items[c.id], c), c) for c in ranked[:most] if c.id in items])
            if len(found) >= k or most >= len(ranked):
                break
        return found[:k]

    def _judged(self, query: Query, hits: list[Hit]) -> list[Hit]:
        if self.reranker is None or not query.text:
            return hits
        return self.reranker.reranked(query.text, hits)


def check_k(k: int) -> None:
    """Raises:
    UsageError: it is no whole number in 1..1,000,000,000.
    """
    if not (hasattr(k, "__index__") and 1 <= k <= _MOST):
        raise UsageError(f"k must be a whole number from 1, not {k!r}")


def _checked(k: int, modality: str, diversity: float) -> ModalityChoice:
    """The modality that is meant. Raises UsageError."""
    check_k(k)
    if not 0 <= diversity <= 1:
        raise UsageError(f"diversity cannot be {diversity!r}", "It lies between 0 and 1.")
    return modality_of(modality)


def _chosen(ranked: Ranked, k: int, modality: str) -> list[Hit]:
    passages, images = join(ranked.passages)[:k], ranked.images[:k]
    if modality == "text":
        return passages
    if modality == "image":
        return images
    return merge(passages, images, k)


def _is_known(hit: Hit) -> bool:
    return hit.score >= KNOWN_PICTURE or hit.scores["image"] >= SAME_PICTURE


def _looked_at(found: Sequence[Found], names: Names | None) -> list[Hit]:
    """The hits; pictures without a caption with what they look like."""
    bare = [scored.vector for hit, scored in found if not hit.text]
    called = iter(names.of(np.stack(bare)) if names and bare else [""] * len(bare))
    return [hit if hit.text else replace(hit, looks_like=next(called)) for hit, _ in found]


def _told_of(hit: Hit) -> list[str]:
    """What the index says of a picture: title, heading and caption, "" where there is none."""
    title = "" if _NUMBERED.fullmatch(hit.title) else hit.title
    heading = "" if hit.section.casefold() == hit.title.casefold() else hit.section
    return [title, heading, hit.text or ""]


def to_hit(item: ItemRow, scored: Scored) -> Hit:
    """A candidate with what the catalog says of it."""
    file = item.files[0]
    return Hit(
        id=f"{item.modality[0]}{item.id}",
        modality=item.modality,
        path=file.shown,
        title=item.title,
        section=item.section,
        page=item.page,
        span=item.span,
        bbox=item.bbox,
        sha256=file.sha256,
        score=scored.score,
        scores=dict(scored.scores),
        text=item.body or None,
        file=file.path,
        ordinal=item.ordinal,
        paths=tuple(f.shown for f in item.files),
        files=tuple(f.path for f in item.files),
        metadata=item.metadata,
    )
