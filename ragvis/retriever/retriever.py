"""Retrieval per modality, by CLIP and by words, fused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ragvis.errors import UsageError
from ragvis.index import Index, QueryKind, View
from ragvis.retriever.fusion import merge, reciprocal_rank
from ragvis.store.rows import ItemRow
from ragvis.types import Hit, Modality

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragvis.media.images import Picture

    Vectors = NDArray[np.float32]

_CANDIDATES = 64  # of each ranking, at least
SAME_PICTURE = 0.95  # cosine above which two pictures are one picture, re-encoded or resized


@dataclass(frozen=True, slots=True)
class Query:
    """A question, a picture, or both, with their vectors: each (dim,) float32, unit length."""

    text: str | None
    vectors: dict[QueryKind, Vectors]


@dataclass(frozen=True, slots=True)
class Ranked:
    """Hits of each modality, best first."""

    passages: list[Hit]
    images: list[Hit]
    generation: int  # of the index that was searched


class Retriever:
    """Searches an index.

    Args:
        index: an open index. Searches follow it: what a writer commits is found by the next one.
    """

    def __init__(self, index: Index) -> None:
        self.index = index

    def search(
        self,
        query: str | None = None,
        *,
        image: str | Path | bytes | Picture | None = None,
        k: int = 8,
        modality: Literal["any", "text", "image"] = "any",
    ) -> list[Hit]:
        """The best ``k`` hits for a text, a picture, or both.

        Args:
            query: what is looked for, in words.
            image: a picture: a path, a URL, its bytes, or a PIL image.
            k: most hits to return.
            modality: "text" for passages only, "image" for pictures only.

        Raises:
            UsageError: neither text nor picture, or a picture that cannot be opened.
            IndexMismatch: the index's encoder is not the one that made it any more.
        """
        if k < 1:
            raise UsageError("k must be at least 1")
        if modality not in ("any", "text", "image"):
            raise UsageError(f"unknown modality {modality!r}", "One of: any, text, image.")
        ranked = self.rank(self.query(query, [image] if image is not None else []), k)
        if modality == "text":
            return ranked.passages[:k]
        if modality == "image":
            return ranked.images[:k]
        return merge(ranked.passages, ranked.images, k)

    def query(
        self, text: str | None, pictures: Sequence[str | Path | bytes | Picture] = ()
    ) -> Query:
        """Encode what is looked for; several pictures become their mean."""
        text = text.strip() if text else None
        if not text and not pictures:
            raise UsageError("nothing to search for", "Give a text, a picture, or both.")
        encoder = self.index.encoder
        vectors: dict[QueryKind, Vectors] = {}
        if text:
            vectors["text"] = encoder.encode_texts([self._fitting(text)])[0]
        if pictures:
            from ragvis.media.source import load_picture

            rows = encoder.encode_pictures([load_picture(p) for p in pictures])
            mean = rows.mean(axis=0)
            vectors["image"] = mean / max(float(np.linalg.norm(mean)), 1e-12)
        return Query(text, vectors)

    def _fitting(self, text: str) -> str:
        """A query longer than the encoder reads keeps its end, where questions are asked."""
        encoder = self.index.encoder
        words = text.split()[-encoder.max_tokens :]
        while len(words) > 1 and encoder.count_tokens([" ".join(words)])[0] > encoder.max_tokens:
            words = words[1 + len(words) // 16 :]
        return " ".join(words)

    def rank(self, query: Query, k: int) -> Ranked:
        """Hits of each modality for an encoded query, at most ``k`` (at least 1) each."""
        with self.index.reading() as view:
            return Ranked(
                self._rank_modality(view, query, "text", k),
                self._rank_modality(view, query, "image", k),
                view.generation,
            )

    def same_picture(self, query: Query) -> Hit | None:
        """The indexed picture that the query's picture is a copy of, if there is one."""
        if "image" not in query.vectors:
            return None
        only = Query(None, {"image": query.vectors["image"]})
        with self.index.reading() as view:
            best = self._rank_modality(view, only, "image", 1)
        return best[0] if best and best[0].scores["image"] >= SAME_PICTURE else None

    def _rank_modality(self, view: View, query: Query, modality: Modality, k: int) -> list[Hit]:
        wanted = max(_CANDIDATES, 4 * k)
        rankings: list[list[int]] = []
        for vector in _searched(query.vectors):
            _, ids = view.vectors[modality].search(vector[None, :], wanted)
            rankings.append([int(i) for i in ids[0] if i >= 0])
        words: dict[int, float] = {}
        if query.text:
            words = dict(self.index.word_search(query.text, modality, wanted))
            rankings.append(list(words))
        fused = reciprocal_rank(rankings)
        best = sorted(fused, key=lambda i: (-fused[i], i))[:k]
        shares = self.index.word_coverage(query.text or "", best)
        items = self.index.items(best)
        return [
            self._hit(
                view,
                query,
                items[i],
                {"words": shares.get(i, 0.0), "bm25": words.get(i, 0.0), "rrf": fused[i]},
            )
            for i in best
            if i in items
        ]

    def _hit(self, view: View, query: Query, item: ItemRow, scores: dict[str, float]) -> Hit:
        file = item.files[0]
        own = view.vectors[item.modality].vector(item.id)
        cosines = {kind: float(own @ v) for kind, v in query.vectors.items()}
        seen = max(view.floor(k, item.modality).calibrate(c) for k, c in cosines.items())
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
            score=round(_either(seen, scores["words"]), 4),
            scores={**_rounded(cosines), **_rounded(scores)},
            text=item.body or None,
            file=file.path,
            ordinal=item.ordinal,
            paths=tuple(f.shown for f in item.files),
        )


def _rounded(scores: Mapping[Any, float]) -> dict[str, float]:
    return {str(name): round(score, 5) for name, score in scores.items()}


def _either(by_vector: float, words: float) -> float:
    """Evidence of two kinds, either of which is enough. Sharing some words is weak evidence,
    sharing nearly all of them is strong: hence the cube."""
    return 1.0 - (1.0 - by_vector) * (1.0 - words**3)


def _searched(vectors: dict[QueryKind, Vectors]) -> list[Vectors]:
    """Each vector by itself, and their sum where a picture and a text ask together."""
    single = list(vectors.values())
    if len(single) < 2:
        return single
    both = single[0] + single[1]
    return [*single, both / max(float(np.linalg.norm(both)), 1e-12)]
