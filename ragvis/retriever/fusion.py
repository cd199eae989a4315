"""One ranking of passages and pictures."""

from __future__ import annotations

from collections.abc import Sequence

from ragvis.types import LEAST_EVIDENCE, MODALITIES, Hit, Modality

_AS_LIKELY = 0.9  # share of the other's score at which a hit is as likely as that


def merge(passages: Sequence[Hit], images: Sequence[Hit], k: int) -> list[Hit]:
    """The best ``k`` of two rankings by score, each kept in its own order.

    Each modality has a quarter of the places where its hits are as likely as those of the other
    one that give way; where neither is relevant, all are equally unlikely.
    """
    ranked = _by_score(passages, images)
    chosen, left = ranked[:k], ranked[k:]
    share = k // 4 or (1 if k > 1 else 0)
    for modality in MODALITIES:
        waiting = [hit for hit in left if hit.modality == modality]
        own = sum(hit.modality == modality for hit in chosen)
        for hit in waiting[: max(0, share - own)]:
            weakest = _last_of_another(chosen, modality)
            if weakest is None or not _is_as_likely(hit, chosen[weakest]):
                break
            del chosen[weakest]
            chosen.append(hit)
    return chosen


def _by_score(passages: Sequence[Hit], images: Sequence[Hit]) -> list[Hit]:
    """All of both; the head with the higher score goes first, in turn where they are equal."""
    queues = {"text": list(passages)[::-1], "image": list(images)[::-1]}
    merged: list[Hit] = []
    last = ""
    while all(queues.values()):
        heads = {modality: queue[-1].score for modality, queue in queues.items()}
        last = max(heads, key=lambda modality: (heads[modality], modality != last))
        merged.append(queues[last].pop())
    return [*merged, *queues["text"][::-1], *queues["image"][::-1]]


def _last_of_another(hits: Sequence[Hit], modality: Modality) -> int | None:
    places = (i for i in reversed(range(len(hits))) if hits[i].modality != modality)
    return next(places, None)


def _is_as_likely(hit: Hit, other: Hit) -> bool:
    irrelevant = max(hit.score, other.score) < LEAST_EVIDENCE
    return irrelevant or hit.score >= _AS_LIKELY * other.score
