"""Which hits may go into a prompt, and whether a picture opens the answer."""

from __future__ import annotations

from collections.abc import Sequence

from ragvis.composer import Composed, PromptSpec, Room, opened
from ragvis.prompts import SHOWS
from ragvis.retriever import Ranked, Request
from ragvis.types import LEAST_EVIDENCE, Hit

# A retrieved picture goes to the model only on strong evidence: one too many costs a second and
# misleads (MRAG-Bench: distractor pictures make answers worse than none).
LEAST_PICTURE = 0.5
LEAST_BESIDE_THE_BEST = 0.1  # odds of what counts beside the best picture, as a share of its own
LEAST_BESIDE_A_PICTURE = 0.5  # of a passage, where the question asks for a picture
LEAST_BESIDE_A_PHOTO = 0.9  # where the question brings its own picture
ALL_WORDS = 0.999  # of the query's wording, but for rounding


def room_for(k: int | None, answer: int) -> Room:
    """Room for an answer of so many tokens and ``k`` sources, None for the usual ones."""
    if k is None:
        return Room(answer)
    return Room(answer, passages=max(1, k - k // 3), images=k // 3)


def placeable(ranked: Ranked, least_picture: float, wants_pictures: bool) -> list[Hit]:
    """As ranked: nothing where nothing is relevant; no picture without strong evidence, and no
    passage without any beside a picture that was asked for."""
    best = max((h.score for h in (*ranked.passages, *ranked.images)), default=0.0)
    if best < LEAST_EVIDENCE:
        return []
    images = [h for h in ranked.images if h.score >= least_picture]
    if images:
        best_picture = images[0].score
        images = [h for h in images if not _is_nothing_beside(h.score, best_picture)]
    least_passage = LEAST_BESIDE_A_PICTURE if images and wants_pictures else 0.0
    return [*images, *(h for h in ranked.passages if h.score >= least_passage)]


def images_for(hits: Sequence[Hit], room: Room, held: set[str]) -> list[Hit]:
    """The pictures that may be placed: what an earlier turn placed takes no room, unless that
    turn leaves the prompt."""
    images = [h for h in hits if h.modality == "image"]
    return images[: room.images + sum(h.id in held for h in images)]


def begun(composed: Composed, hits: Sequence[Hit], asked: Request, spec: PromptSpec) -> Composed:
    """With an answer that begins with the picture that was asked for; or named in all its words; or
    described, where no passage comes near: it was placed because it more likely than not is the
    right one, so that a model which does not know it again need not say that there is none."""
    picture = next((h for h in hits if h.modality == "image"), None)
    if picture is None:
        return composed
    best = max((hit.score for hit in hits if hit.modality == "text"), default=0.0)
    is_named = asked.names and picture.scores.get("words", 0.0) >= ALL_WORDS
    is_described = asked.describes and _is_nothing_beside(best, picture.score)
    is_meant = picture.score >= best and (asked.shows or is_named or is_described)
    number = next((s.n for s in composed.sources if s.hit.id == picture.id), None)
    if number is None or not (asked.only or is_meant):
        return composed
    return opened(composed, spec, SHOWS.format(number))


def _is_nothing_beside(score: float, best: float) -> bool:
    return _odds(score) < LEAST_BESIDE_THE_BEST * _odds(best)


def _odds(score: float) -> float:
    return score / max(1e-6, 1.0 - score)
