"""What is counted of one question: ranks, match, citations."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence

from ragvis.evaluation.questions import Target
from ragvis.types import Answer, Hit

Ranks = Sequence[int | None]  # of each target, from 1; None: not found


def ranks_of(hits: Sequence[Hit], targets: Sequence[Target]) -> list[int | None]:
    """The rank of the first hit that is each target."""
    return [next((n for n, h in enumerate(hits, 1) if t.matches(h)), None) for t in targets]


def recall(ranks: Ranks, k: int) -> float:
    """Share of the targets among the first ``k`` hits."""
    return sum(rank is not None and rank <= k for rank in ranks) / len(ranks)


def reciprocal_rank(ranks: Ranks) -> float:
    """1 / rank of the first target found, or 0."""
    return max((1.0 / rank for rank in ranks if rank), default=0.0)


def ndcg(ranks: Ranks, k: int) -> float:
    """Normalised discounted cumulative gain (Järvelin and Kekäläinen, 2002), gain 1 a target.

    Targets that one and the same hit fulfils count once.
    """
    gained = sum(1 / math.log2(1 + rank) for rank in {r for r in ranks if r and r <= k})
    apart = min(k, len(ranks) - _doubles(ranks))
    return gained / sum(1 / math.log2(1 + n) for n in range(1, apart + 1))


def _doubles(ranks: Ranks) -> int:
    found = [r for r in ranks if r]
    return len(found) - len(set(found))


def normalised(text: str) -> str:
    """Lower case, no accents, no punctuation, no commas within numbers, no articles."""
    plain = text
    for _ in range(2):  # what is decomposed may have capitals of its own: a bold letter has
        plain = unicodedata.normalize("NFKD", plain.casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    plain = re.sub(r"(?<=\d)[,\u202f\u00a0](?=\d{3})", "", plain)
    words = re.findall(r"\d+(?:\.\d+)+|\w+", plain)
    return " ".join(w for w in words if w not in ("a", "an", "the"))


def is_match(answer: str, accepted: Sequence[str]) -> bool:
    """Whether the answer holds one of the accepted strings, in whole words."""
    said = f" {normalised(answer)} "
    return any(f" {normalised(text)} " in said for text in accepted)


def citation_scores(answer: Answer, targets: Sequence[Target]) -> tuple[float | None, float]:
    """Precision (None where nothing is cited) and recall of what is cited.

    Pictures that came with the question are nobody's evidence, and do not count.
    """
    cited = [s.hit for s in answer.sources if s.cited and s.hit.sha256]
    right = [hit for hit in cited if any(t.matches(hit) for t in targets)]
    found = [t for t in targets if any(t.matches(hit) for hit in cited)]
    return (len(right) / len(cited) if cited else None), len(found) / len(targets)
