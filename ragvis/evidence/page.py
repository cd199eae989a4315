"""The page: one file, which loads nothing and runs nothing.

Everything comes out of a record of the log, so that an answer of last week can be shown as well as
one of now. Jinja escapes whatever is put in; the page's own policy forbids scripts and requests.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from jinja2 import Environment, StrictUndefined

from ragvis.evidence.view import view_of
from ragvis.logs.record import source_of

_LEDGER = ("system", "images", "passages", "history", "question")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the answer: plain words, or a citation of source ``n``."""

    text: str
    n: int | None
    doubted: bool  # its sentence may not be what its sources say


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the check of a sentence came to."""

    sentence: str
    supported: bool
    score: float  # 0..1


def page(record: dict[str, Any], number: int | None) -> str:
    """The page of an answer, as HTML.

    Args:
        record: as ``logs.record_of`` makes it.
        number: of the answer in the log, or None where it was not logged.
    """
    answer = record["answer"]
    views = [view_of(source_of(source)) for source in answer["sources"]]
    html: str = _template().render(
        record=record,
        asked=record["asked"],
        answer=answer,
        number=number,
        pieces=list(pieces(answer)),
        verdicts=verdicts(answer),
        views=sorted(views, key=lambda view: view.source.n),
        parts=_parts(answer.get("ledger")),
    )
    return html


def pieces(answer: dict[str, Any]) -> Iterator[Piece]:
    """The answer cut where citations and sentences begin and end; joined they are all of it."""
    text: str = answer["answer"]
    cited = {(c["start"], c["end"]): c["n"] for c in answer.get("citations", ())}
    doubted = [(s["start"], s["end"]) for s in answer.get("support") or () if not s["supported"]]
    edges = sorted({0, len(text), *(edge for span in (*cited, *doubted) for edge in span)})
    for start, end in pairwise(edges):
        in_doubt = any(first <= start and end <= last for first, last in doubted)
        yield Piece(text[start:end], cited.get((start, end)), in_doubt)


def verdicts(answer: dict[str, Any]) -> list[Verdict] | None:
    """Of each sentence whether its sources bear it out; None where that was not asked for."""
    support = answer.get("support")  # a chat about one picture has none
    if support is None:
        return None
    text: str = answer["answer"]
    return [
        Verdict(text[s["start"] : s["end"]].strip(), s["supported"], s["score"]) for s in support
    ]


def _parts(ledger: dict[str, Any] | None) -> Sequence[tuple[str, int, float]]:
    """Name, tokens and percent of the context, of each part of the prompt."""
    if ledger is None:
        return ()
    limit = max(1, ledger["context_limit"])
    found = [(name, ledger[name]) for name in _LEDGER if ledger[name]]
    found.append(("kept for the answer", ledger["reserved_for_answer"]))
    return [(name, tokens, 100 * tokens / limit) for name, tokens in found]


def _template() -> Any:
    text = importlib.resources.files(__package__).joinpath("page.html").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(text)
