"""What each part of finding brings, on both halves of the eval set.

python scripts/eval_ablation.py [INDEX]

naive       one ranking of all items by the raw cosine, as a shared CLIP index gives it
centred     the same, each modality's mean taken off (GR-CLIP)
calibrated  the same, told in spreads above what unrelated queries reach in each modality
rrf         CLIP and BM25 joined by reciprocal rank in each modality, the best of both in turn
fused       the probability fitted on cosine and words, one ranking
search      what ``Retriever.search`` does: also the photo's name, joined and folded hits
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest

from evalset.collection import EVALSET, HALVES, Values, measured, opened, show

from ragvis import Index, Retriever
from ragvis.evaluation import Question, read_questions
from ragvis.index import View
from ragvis.retriever import Query
from ragvis.retriever.retriever import to_hit
from ragvis.retriever.scoring import Scored, Search
from ragvis.types import MODALITIES, Modality

RRF_K = 60  # Cormack, Clarke, Büttcher: Reciprocal Rank Fusion, SIGIR 2009
DEPTH = 10


@dataclass(frozen=True)
class Case:
    """One query's candidates in one generation of an index."""

    index: Index
    view: View
    query: Query
    found: dict[Modality, list[Scored]]


Score = Callable[[Case, Modality, Scored], float]


def raw(case: Case, _: Modality, item: Scored) -> float:
    return sum(float(item.vector @ v) for v in case.query.vectors.values())


def centred(case: Case, modality: Modality, item: Scored) -> float:
    about, row = case.view.calibration, item.vector[None]
    return sum(
        float(about.cosines(modality, row, about.query(kind, v))[0])
        for kind, v in case.query.vectors.items()
    )


def calibrated(case: Case, _: Modality, item: Scored) -> float:
    return sum(item.scores[f"{kind}_above"] for kind in case.query.vectors)


def fused(_case: Case, _: Modality, item: Scored) -> float:
    return item.score


def best_by(score: Score, case: Case) -> list[Scored]:
    """One ranking of both modalities."""
    scored = [(score(case, m, c), c) for m, own in case.found.items() for c in own]
    return [c for _, c in sorted(scored, key=lambda pair: -pair[0])]


def rrf(case: Case) -> list[Scored]:
    """Reciprocal rank of cosines and BM25 in each modality, then one of each in turn."""
    columns = []
    for modality, own in case.found.items():
        near = [c.id for c in sorted(own, key=lambda c: -calibrated(case, modality, c))]
        words = case.index.word_search(case.query.text or "", modality, 64)
        score: dict[int, float] = defaultdict(float)
        for ranking in (near, [i for i, _ in words]):
            for place, item in enumerate(ranking, 1):
                score[item] += 1 / (RRF_K + place)
        columns.append(sorted(own, key=lambda c: -score[c.id]))
    return [c for row in zip_longest(*columns) for c in row if c is not None]


RANKINGS: dict[str, Callable[[Case], list[Scored]]] = {
    "naive": partial(best_by, raw),
    "centred": partial(best_by, centred),
    "calibrated": partial(best_by, calibrated),
    "rrf": rrf,
    "fused": partial(best_by, fused),
}


def everything(search: Search, query: Query) -> list[Scored]:
    """All items of a modality, scored."""
    return search.candidates(query, 10_000, search.nearest([query], 10_000)[0])


def run(retriever: Retriever, questions: Sequence[Question]) -> Values:
    """Values by ranking and measure."""
    values: Values = defaultdict(lambda: defaultdict(list))
    for question in (q for q in questions if q.answerable):
        query = retriever.query(question.text, list(question.images))
        plain = Query(query.text, query.vectors)
        with retriever.index.reading() as view:
            found: dict[Modality, list[Scored]] = {
                m: everything(Search(retriever.index, view, m), plain) for m in MODALITIES
            }
            ids = {c.id for own in found.values() for c in own}
            rows, case = retriever.index.items(ids), Case(retriever.index, view, plain, found)
            for name, rank in RANKINGS.items():
                hits = [to_hit(rows[c.id], c) for c in rank(case)]
                images = [h for h in hits if h.modality == "image"]
                for measure, value in measured(question, hits, images).items():
                    values[name][measure].append(value)
        photo = question.images[0] if question.images else None
        mixed = retriever.search(question.text, image=photo, k=DEPTH)
        images = retriever.search(question.text, image=photo, k=5, modality="image")
        for measure, value in measured(question, mixed, images).items():
            values["search"][measure].append(value)
    return values


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("index", nargs="?", help="an index of tests/evalset/collection")
    with opened(parser.parse_args().index) as index:
        for half in HALVES:
            show(half, run(Retriever(index), read_questions(EVALSET / f"{half}.jsonl")))


if __name__ == "__main__":
    main()
