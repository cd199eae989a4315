"""Fit the weights of ``ragvis.retriever.scoring.RELEVANCE`` on the tune half of the eval set.

python scripts/fit_relevance.py [INDEX]

Features are how far an item lies above what unrelated queries reach on this index, its share of
the query's wording, and how much rarer that is than by chance in an index of this size: all are
relative to the index, so that the weights carry over to others. Labels say whether an item is one
of the question's relevant ones. The loss is that of a logistic regression with a little ridge;
its quality is printed on the half that was left out.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from evalset.collection import EVALSET, HALVES, opened
from PIL import Image, ImageEnhance

from ragvis import Retriever
from ragvis.evaluation import Question, read_questions
from ragvis.evaluation.measures import is_match
from ragvis.retriever import Manner, Query
from ragvis.retriever.retriever import to_hit
from ragvis.retriever.scoring import Search
from ragvis.store.words import content_words
from ragvis.types import MODALITIES, Hit

Label = Callable[[list[Hit]], set[str]]  # the ids of the relevant ones

RIDGE = 1.0  # a few examples are not believed fully
Row = tuple[float, float, float, bool, bool, bool]  # above, share, surprise, manner, is relevant
Rows = dict[tuple[str, str], list[Row]]


def collect(retriever: Retriever, questions: Iterable[Question]) -> Rows:
    """Every candidate's features and label, by kind of query and modality."""
    rows: Rows = defaultdict(list)
    for question in questions:
        pictures = list(question.images)
        labels = partial(is_relevant, question)
        query = retriever.query(None if pictures else question.text, pictures)
        examine(retriever, query, labels, rows)
    return rows


def examine(retriever: Retriever, query: Query, label: Label, rows: Rows) -> None:
    """Add what one query brings."""
    with retriever.index.reading() as view:
        for modality in MODALITIES:
            search = Search(retriever.index, view, modality)
            found = search.candidates(query, 64, search.nearest([query], 64)[0])
            items = retriever.index.items(c.id for c in found)
            hits = [to_hit(items[c.id], c) for c in found]
            right = label(hits)
            manner = Manner.of(query.text)
            kind = next(iter(query.vectors))
            rows[kind, modality] += [
                (
                    c.scores[f"{kind}_above"],
                    c.scores["words"],
                    c.scores["surprise"],
                    *manner,
                    hit.id in right,
                )
                for c, hit in zip(found, hits, strict=True)
            ]


def is_relevant(question: Question, hits: list[Hit]) -> set[str]:
    """The relevant hits' ids; of a long document's passages, those that hold the answer."""
    own = [h for h in hits if any(t.matches(h) for t in question.relevant)]
    telling = [h for h in own if h.modality == "text" and is_match(h.text or "", question.answers)]
    pictures = [h for h in own if h.modality == "image"]
    return {h.id for h in (telling + pictures if telling else own)}


def photos(retriever: Retriever, half: int, rows: Rows) -> None:
    """Pictures of the collection as somebody else would have taken them find their originals."""
    random = np.random.default_rng(half)
    files = sorted((EVALSET / "collection").rglob("*.jpg"))[half::2]
    for file in files:
        with Image.open(file) as picture:
            w, h = picture.size
            left, top, right, bottom = random.uniform(0, 0.12, 4) * (w, h, w, h)
            part = picture.crop((left, top, w - right, h - bottom)).convert("RGB")
        part = ImageEnhance.Brightness(part).enhance(random.uniform(0.8, 1.25))
        part = part.rotate(random.uniform(-8, 8), Image.Resampling.BILINEAR, fillcolor="white")

        def own(hits: list[Hit], file: Path = file) -> set[str]:
            return {h.id for h in hits if Path(h.file) == file}

        found: Rows = defaultdict(list)
        examine(retriever, retriever.query(None, [part]), own, found)
        rows["image", "image"] += found["image", "image"]


def keywords(retriever: Retriever, half: int, rows: Rows) -> None:
    """Two words of a passage or a caption find the items that hold both: searches for known items,
    as a person makes them who remembers a phrase. A picture holds its name's words, too; a passage
    does not, as every other one of its document would."""
    random = np.random.default_rng(half)
    for modality in MODALITIES:
        ids = [int(i) for piece, _ in retriever.index._catalog.vectors(modality) for i in piece]
        for item in retriever.index.items(ids[half :: 2 * len(MODALITIES)]).values():
            is_picture = modality == "image"
            said = content_words(f"{item.body} {item.title}" if is_picture else item.body)
            if len(said) < 2:
                continue
            at = int(random.integers(len(said) - 1))
            pair = said[at : at + 2]

            def both(hits: list[Hit], pair: list[str] = pair) -> set[str]:
                return {h.id for h in hits if set(pair) <= set(content_words(_held(h)))}

            examine(retriever, retriever.query(" ".join(pair)), both, rows)


def _held(hit: Hit) -> str:
    around = f"{hit.title} {hit.section} {hit.name}" if hit.modality == "image" else ""
    return f"{hit.text or ''} {around}"


def features(rows: list[Row]) -> tuple[Any, Any]:
    """(n, 6) float64 and (n,) labels."""
    above, *rest, keywords, labels = (np.array(c, float) for c in zip(*rows, strict=True))
    rest.append(keywords * rest[0] ** 2)
    return np.stack([np.ones_like(above), np.maximum(above, 0), *rest], 1), labels


def fit(x: Any, y: Any) -> Any:
    """Weights (6,) by Newton's method."""
    weights = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        ridge = RIDGE * np.diag([0.0, 1, 1, 1, 1, 1])
        hessian = (x * (p * (1 - p))[:, None]).T @ x + ridge + 1e-6 * np.eye(x.shape[1])
        weights -= np.linalg.solve(hessian, x.T @ (p - y) + ridge @ weights)
    return weights


def quality(x: Any, y: Any, weights: Any) -> str:
    """Log loss beside that of the base rate, and a reliability diagram in five bins."""
    p = np.clip(1 / (1 + np.exp(-x @ weights)), 1e-9, 1 - 1e-9)
    loss = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
    base = y.mean()
    blind = -(base * np.log(base) + (1 - base) * np.log(1 - base)) if 0 < base < 1 else 0.0
    bins = np.minimum((p * 5).astype(int), 4)
    said = [
        f"{p[bins == b].mean():.2f}:{y[bins == b].mean():.2f}({(bins == b).sum()})"
        for b in range(5)
        if (bins == b).any()
    ]
    return f"log loss {loss:.4f} (blind {blind:.4f}); said:true(n) {' '.join(said)}"


def main() -> None:
    """Print the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", nargs="?", help="an index of tests/evalset/collection")
    with opened(parser.parse_args().index) as index:
        halves = []
        for number, half in enumerate(HALVES):
            retriever = Retriever(index)
            halves.append(collect(retriever, read_questions(EVALSET / f"{half}.jsonl")))
            photos(retriever, number, halves[-1])
            keywords(retriever, number, halves[-1])
    for key in sorted(halves[0]):
        x, y = features(halves[0][key])
        weights = fit(x, y)
        print(key, "Relevance(" + ", ".join(f"{w:.2f}" for w in weights) + f")  n={len(y)}")
        print("   tune", quality(x, y, weights))
        print("   test", quality(*features(halves[1][key]), weights))


if __name__ == "__main__":
    main()
