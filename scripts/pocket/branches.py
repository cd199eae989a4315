"""Examples that begin alike, learned as one: what they share is computed once.

Several questions about the same sources differ in their last few tokens alone. Written behind one
another, each seeing what all share and itself, at the positions that it would have by itself, they
are learned exactly as one by one, for less than half of the work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from scripts.pocket.conversations import IGNORED, Encoded


@dataclass(frozen=True, slots=True)
class Sheaf:
    """Examples with one beginning.

    Attributes:
        ids: the beginning, then what is left of each.
        labels: as those of ``Encoded``.
        positions: of each token in its own example.
        branch: 0 for the beginning, n for the n-th example.
        images: of the beginning.
    """

    ids: list[int]
    labels: list[int]
    positions: list[int]
    branch: list[int]
    images: tuple[Path, ...]


def gather(examples: Sequence[Encoded], longest: int, image: int) -> list[Sheaf]:
    """Neighbours that each have half in common with the first, up to so many tokens together.

    ``image`` is the token of pictures: they belong to the beginning, or nothing is put together.
    """
    return [_bound(group) for group in _groups(examples, longest, image)]


def _groups(examples: Sequence[Encoded], longest: int, image: int) -> Iterator[list[Encoded]]:
    group: list[Encoded] = []
    shared = 0
    for one in examples:
        common = min(shared, _shared(group[0], one)) if group else 0
        total = common + sum(len(e.ids) - common for e in [*group, one])
        seen = image not in one.ids[common:]
        if group and seen and 2 * common > len(one.ids) and total <= longest:
            group, shared = [*group, one], common
            continue
        if group:
            yield group
        group, shared = [one], _unlearned(one)
    if group:
        yield group


def _shared(first: Encoded, other: Encoded) -> int:
    """Tokens that two examples begin with alike, before anything that is learned."""
    if first.images != other.images:
        return 0
    most = min(_unlearned(first), _unlearned(other))
    pairs = zip(first.ids[:most], other.ids, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), most)


def _unlearned(one: Encoded) -> int:
    """Tokens before the first that is learned, less one: that one is what it is learned from."""
    first = next((n for n, label in enumerate(one.labels) if label != IGNORED), len(one.labels))
    return max(0, first - 1)


def _bound(group: Sequence[Encoded]) -> Sheaf:
    first = group[0]
    start = min((_shared(first, one) for one in group[1:]), default=0)
    ids, labels = first.ids[:start], first.labels[:start]
    positions, branch = list(range(start)), [0] * start
    for n, one in enumerate(group, 1):
        ids, labels = ids + one.ids[start:], labels + one.labels[start:]
        positions += range(start, len(one.ids))
        branch += [n] * (len(one.ids) - start)
    return Sheaf(ids, labels, positions, branch, first.images)


def sight(
    batch: Sequence[Sheaf], width: int, device: torch.device, dtype: torch.dtype
) -> torch.Tensor:
    """What may see what: (b, 1, width, width), 0 or the least number, padding behind."""
    filled = [one.branch + [-1] * (width - len(one.branch)) for one in batch]
    rows = torch.tensor(filled, device=device)
    seen = (rows[:, None, :] == 0) | (rows[:, None, :] == rows[:, :, None])
    seen &= torch.ones(width, width, dtype=torch.bool, device=device).tril()
    least = torch.finfo(dtype).min
    return torch.zeros(seen.shape, dtype=dtype, device=device).masked_fill(~seen, least)[:, None]
