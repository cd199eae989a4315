"""Ask every question, and keep what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ragvis.assistant.prepared import AskOptions
from ragvis.evaluation.measures import (
    citation_scores,
    is_match,
    ndcg,
    ranks_of,
    recall,
    reciprocal_rank,
)
from ragvis.evaluation.missing import missing_files
from ragvis.evaluation.questions import Question
from ragvis.evaluation.report import Report
from ragvis.types import MODALITIES, Hit

if TYPE_CHECKING:
    from ragvis.assistant import Assistant
    from ragvis.retriever import Retriever

DEPTH = 10  # hits that are looked at
_RECALLS = (1, 5, 10)
_AS_ASKED = AskOptions()
OnQuestion = Callable[[int, int, str], None]  # (done, of, id)


def evaluate(
    retriever: Retriever,
    questions: Sequence[Question],
    assistant: Assistant | None = None,
    on_question: OnQuestion = lambda *_: None,
    options: AskOptions = _AS_ASKED,
) -> Report:
    """Search, and with an assistant answer, every question; ``options.k`` has no part in it.
    Relevant files that the index lacks are listed in the report (``missing``).

    Raises:
        UsageError: a question's picture cannot be opened.
        ModelError: the model fails.
    """
    rows = []
    for done, question in enumerate(questions):
        on_question(done, len(questions), question.id)
        row = _searched(retriever, question)
        if assistant is not None:
            _answer(assistant, question, row, options)
        rows.append(row)
    on_question(len(questions), len(questions), "")
    about: dict[str, Any] = {"index": asdict(retriever.index.info())}
    if assistant is not None:
        about["model"] = asdict(assistant.generator.info)
    about["questions"] = len(rows)
    about["missing"] = [asdict(m) for m in missing_files(retriever.index.files(), questions)]
    return Report(about, rows)


def _searched(retriever: Retriever, question: Question) -> dict[str, Any]:
    image = list(question.images)
    started = time.perf_counter()
    hits = retriever.search(question.text, image=image, k=DEPTH)
    spent = time.perf_counter() - started
    values: dict[str, float] = {"search_s": spent}
    if question.answerable:
        values |= finding(
            question,
            hits,
            lambda: retriever.search(question.text, image=image, k=5, modality="image"),
        )
    return {
        "id": question.id,
        "question": question.text,
        "answerable": question.answerable,
        "relevant": [asdict(t) for t in question.relevant],
        "ranks": ranks_of(hits, question.relevant),
        "best": max((h.score for h in hits), default=0.0),
        "hits": [_brief(hit) for hit in hits],
        "values": values,
    }


def finding(
    question: Question, hits: Sequence[Hit], pictures: Callable[[], Sequence[Hit]]
) -> dict[str, float]:
    """The measures of where an answerable question's relevant items were found, overall and by
    modality.

    Args:
        hits: of the mixed search.
        pictures: searches for pictures alone; called where one is wanted.
    """
    ranks = ranks_of(hits, question.relevant)
    values = _of_ranks(ranks)
    for modality in MODALITIES:
        own = [i for i, t in enumerate(question.relevant) if t.modality == modality]
        if own:
            found = _of_ranks([ranks[i] for i in own])
            values |= {f"{modality}.{name}": value for name, value in found.items()}
            if modality == "image":
                alone = ranks_of(pictures()[:5], [question.relevant[i] for i in own])
                values["starvation_gap@5"] = found["recall@5"] - recall(alone, 5)
    return values


def _of_ranks(ranks: Sequence[int | None]) -> dict[str, float]:
    recalls = {f"recall@{k}": recall(ranks, k) for k in _RECALLS}
    return {**recalls, "mrr": reciprocal_rank(ranks), "ndcg@10": ndcg(ranks, DEPTH)}


def _brief(hit: Hit) -> dict[str, Any]:
    place = {"id": hit.id, "modality": hit.modality, "path": hit.path, "page": hit.page}
    return {**place, "score": hit.score, "scores": hit.scores}


def _answer(
    assistant: Assistant, question: Question, row: dict[str, Any], options: AskOptions
) -> None:
    """Ask, and add what was said and what it is worth to the row."""
    answer = assistant.ask(
        question.text,
        question.images,
        sampling=options.sampling,
        verify=options.verify,
        pictures=options.pictures,
    )
    values = row["values"]
    values["answers.seconds"] = answer.timing_s["total"] - answer.timing_s["load"]
    if question.answerable:
        values["answers.false_refusal"] = float(answer.abstained)
        precision, found = citation_scores(answer, question.relevant)
        values["answers.citation_recall"] = found
        if precision is not None:
            values["answers.citation_precision"] = precision
        if question.answers:
            values["answers.match"] = float(is_match(answer.text, question.answers))
    else:
        values["answers.false_answer"] = float(not answer.abstained)
    if answer.support is not None:
        marked = not all(s.supported for s in answer.support)
        values[f"answers.marked_{_rightness(question, values)}"] = float(marked)
    cited = [s.hit.path for s in answer.sources if s.cited]
    asked = bool(answer.ledger.total)  # the model, and not only the index
    row |= {"answer": answer.text, "cited": cited, "model_asked": asked}


def _rightness(question: Question, values: dict[str, float]) -> str:
    """Of an answer that was given: by what it says where that is known, else by what it cites."""
    judged = "match" if question.answers else "citation_recall"
    return "right" if values.get(f"answers.{judged}", 0.0) > 0 else "wrong"
