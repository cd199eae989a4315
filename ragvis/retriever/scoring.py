"""Candidates of one modality, and how likely each is what was asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ragvis.index import QueryKind
from ragvis.retriever.manner import Manner
from ragvis.retriever.wording import Wording, wording
from ragvis.store.words import Shared
from ragvis.types import Hit, Modality

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragvis.index import Index, View
    from ragvis.store.rows import Where

    Vectors = NDArray[np.float32]
    Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Query:
    """A question, a picture, or both, with their vectors: each (dim,) float32, unit length.

    Attributes:
        like: id of the item whose neighbours are wanted; it is not found itself.
        known: the indexed picture that the query's picture seems to show again.
        name: what its picture is called: by what the index knows of that one, or else by the
            encoder where it is sure.
        by_name: what passages are asked for instead, once the picture has a name.
        encoder: fingerprint of what encoded it; "" where that is not known.
    """

    text: str | None
    vectors: dict[QueryKind, Vectors]
    like: int | None = None
    known: Hit | None = None
    name: str = ""
    by_name: Query | None = None
    encoder: str = ""


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate.

    Attributes:
        score: 0..1, how likely it is relevant.
        scores: what that was made of, by name.
        vector: (dim,) float32, as stored.
    """

    id: int
    score: float
    scores: dict[str, float]
    vector: Vectors


@dataclass(frozen=True, slots=True)
class Relevance:
    """The log-odds that an item is relevant: a weighted sum."""

    bias: float
    above: float  # each spread above what unrelated queries reach
    share: float  # of the query's wording that the item has
    surprise: float  # each nat by which that is rarer than by chance
    pictures: float  # the query asks for pictures, in words
    keywords: float  # the query is keywords alone; times the share squared

    def log_odds(self, above: float, words: Shared, manner: Manner) -> float:
        """Below what unrelated queries reach, a cosine says next to nothing: a picture with the
        right name is not worse for it. It still tells apart items that are alike in all else."""
        odds = self.bias + (self.above if above > 0 else _BELOW) * above
        odds += self.share * words.share + self.surprise * words.surprise
        return (
            odds
            + self.pictures * manner.pictures
            + self.keywords * manner.keywords * words.share**2
        )

    def probability(self, above: float, words: Shared, manner: Manner) -> float:
        """0..1, of ``log_odds``."""
        return probability(self.log_odds(above, words, manner))


def probability(log_odds: float) -> float:
    """0..1, strictly rising: far log-odds are drawn in, so that no two become 0 or 1 alike."""
    far = max(0.0, abs(log_odds) - _FAR)
    drawn = math.copysign(min(abs(log_odds), _FAR) + math.log1p(far), log_odds)
    return 1.0 / (1.0 + math.exp(-drawn))


def any_of(log_odds: Sequence[float]) -> float:
    """The log-odds that at least one of independent things holds (noisy or)."""
    if len(log_odds) == 1:
        return log_odds[0]
    # None holds with exp(-total)
    total = sum(max(0.0, odds) + math.log1p(math.exp(-abs(odds))) for odds in log_odds)
    return total + math.log(-math.expm1(-total))


_BELOW = 0.001  # log-odds a spread below what unrelated queries reach: a tie-breaker
_FAR = 12.0  # log-odds beyond which all is as good as sure
# Fitted by logistic regression on the tune half of tests/evalset: see scripts/fit_relevance.py.
RELEVANCE: Mapping[tuple[QueryKind, Modality], Relevance] = {
    ("text", "text"): Relevance(-6.50, 0.39, 3.71, 0.24, -0.34, 5.03),
    ("text", "image"): Relevance(-5.71, 0.77, 5.33, 0.62, 1.05, 0.33),
    ("image", "text"): Relevance(-4.18, 1.99, 0.0, 0.0, 0.0, 0.0),
    ("image", "image"): Relevance(-4.18, 0.53, 0.0, 0.0, 0.0, 0.0),
}
_OF_BOILERPLATE = 0.5  # what counts of the similarity of a passage that is mostly boilerplate


@dataclass(frozen=True, slots=True)
class Search:
    """One generation of an index, searched in one modality."""

    index: Index
    view: View
    modality: Modality
    where: Where | None = None

    def nearest(self, queries: Sequence[Query], most: int) -> list[Ids]:
        """Ids of what is nearest to each query, by all its vectors and their sum, in no order:
        one search for all of them."""
        asked = [np.array(self._centred(query), np.float32) for query in queries]
        asked = [rows if len(rows) == 1 else np.vstack([rows, rows.sum(0)]) for rows in asked]
        if not asked:
            return []
        _, near = self.view.vectors[self.modality].search(
            np.concatenate(asked), most, self._among()
        )
        ends = np.cumsum([len(rows) for rows in asked])[:-1]
        return [part.ravel() for part in np.split(near, ends)]

    def candidates(self, query: Query, most: int, near: Ids) -> list[Scored]:
        """Those near it, and those that share its words, likeliest first. Hold
        ``Index.reading``."""
        ids = self._with_words(query, most, near)
        if query.like is not None:
            ids = ids[ids != query.like]
        if not len(ids):
            return []
        rows = self.view.vectors[self.modality].rows(ids)  # (n, dim)
        above = {kind: self._above(kind, v, rows) for kind, v in query.vectors.items()}
        wordings = self._wordings(query, ids, above)
        manner = Manner.of(query.text)
        found = []
        for i, item in enumerate(ids.tolist()):
            words, is_own = wordings.get(item, Wording())
            scores: dict[str, float] = {"words": words.share, "surprise": words.surprise}
            odds = []
            for kind, vector in query.vectors.items():
                scores[kind] = float(rows[i] @ vector)
                scores[f"{kind}_above"] = own = float(above[kind][i])
                seen = own if is_own or own < 0 else _OF_BOILERPLATE * own
                odds.append(RELEVANCE[kind, self.modality].log_odds(seen, words, manner))
            # Evidence of either kind is enough
            found.append(Scored(item, probability(any_of(odds)), scores, rows[i]))
        return sorted(
            found, key=lambda c: (-c.score, -sum(c.scores[k] for k in query.vectors), c.id)
        )

    def _wordings(
        self, query: Query, ids: Ids, above: Mapping[QueryKind, Vectors]
    ) -> Mapping[int, Wording]:
        """Of the items that have some of a query's wording, or come nearer than unrelated ones."""
        similar = ids[np.any([own > 0 for own in above.values()], axis=0)].tolist()
        about = (self.index, self.view.boilerplate, query.text or "", self.modality)
        return wording(*about, ids.tolist(), similar)

    def _among(self) -> Ids | None:
        return None if self.where is None else self.index.matching(self.modality, self.where)

    def _with_words(self, query: Query, most: int, near: Ids) -> Ids:
        by_words = []
        if query.text:
            by_words = self.index.word_search(query.text, self.modality, most, self.where)
        found = np.concatenate([near, np.array([i for i, _ in by_words], np.int64)])
        ids: Ids = np.unique(found[found >= 0])
        return ids

    def _centred(self, query: Query) -> list[Vectors]:
        calibration = self.view.calibration
        return [calibration.query(kind, v) for kind, v in query.vectors.items()]

    def _above(self, kind: QueryKind, vector: Vectors, rows: Vectors) -> Vectors:
        """How many spreads each item lies above what unrelated queries reach: (n,)."""
        calibration = self.view.calibration
        asked = calibration.query(kind, vector)
        cosines = calibration.cosines(self.modality, rows, asked)
        above: Vectors = calibration.floor(kind, self.modality).above(cosines)
        return above


def diverse(candidates: Sequence[Scored], k: int, diversity: float) -> list[Scored]:
    """The best ``k``, each as unlike those before it as ``diversity`` (0..1) asks.

    Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998); similarity is the cosine,
    relevance the share of the best one's score, so that weak candidates are told apart, too.
    """
    if diversity <= 0 or len(candidates) < 2:
        return list(candidates[:k])
    rows = np.stack([c.vector for c in candidates])  # (n, dim)
    scores = np.array([c.score for c in candidates])
    scores /= max(float(scores.max()), 1e-12)
    likeness = np.full(len(candidates), -1.0)  # to the most similar one chosen so far
    left = list(range(len(candidates)))
    chosen: list[int] = []
    while left and len(chosen) < k:
        gain = (1 - diversity) * scores[left] - diversity * (likeness[left] if chosen else 0.0)
        best = left.pop(int(np.argmax(gain)))
        chosen.append(best)
        likeness = np.maximum(likeness, rows @ rows[best])
    return [candidates[i] for i in chosen]
