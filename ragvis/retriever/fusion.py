"""One ranking of passages and pictures."""

from __future__ import annotations

from collections.abc import Sequence

from ragvis.types import Hit


def merge(passages: Sequence[Hit], images: Sequence[Hit], k: int) -> list[Hit]:
    """The best ``k`` of two rankings, each kept in its own order.

    The head with the higher calibrated score goes first, but each modality that has hits gets at
    least a quarter of the places: a text's cosine always beats a picture's otherwise.
    """
    share = k // 4 or (1 if k > 1 else 0)
    least = {"text": min(share, len(passages)), "image": min(share, len(images))}
    queues = {"text": list(passages), "image": list(images)}
    merged: list[Hit] = []
    while len(merged) < k and any(queues.values()):
        hit = queues[_next(queues, least, k - len(merged))].pop(0)
        least[hit.modality] = max(0, least[hit.modality] - 1)
        merged.append(hit)
    return merged


def _next(queues: dict[str, list[Hit]], least: dict[str, int], places: int) -> str:
    owed = {m: n for m, n in least.items() if n}
    if sum(owed.values()) >= places and owed:
        queues = {m: queues[m] for m in owed}
    return max((m for m in queues if queues[m]), key=lambda m: queues[m][0].score)
