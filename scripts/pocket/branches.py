"""Examples that begin alike, learned as one: what they share is computed once.

Several questions about the same sources differ in their last few tokens alone. Written behind one
another, each seeing what all share and itself, at the positions that it would have by itself, they
are learned exactly as one by one, for less than half of the work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from scripts.pocket.conversations import IGNORED, Encoded

_NEIGHBOURS = 400  # sheaves that are fitted into rows together


@dataclass(frozen=True, slots=True)
class Sheaf:
    """Examples with one beginning.

    Attributes:
        ids: the beginning, then what is left of each.
        labels: as those of ``Encoded``.
        positions: of each token in its own example.
        branch: 0 for the beginning, n for the n-th example.
        images: of the beginning.
        page: of a row that holds several such, which of them a token is of; all 0 here.
    """

    ids: list[int]
    labels: list[int]
    positions: list[int]
    branch: list[int]
    images: tuple[Path, ...]
    page: list[int] = field(default_factory=list)

    @property
    def pages(self) -> list[int]:
        """``page``, of each token."""
        return self.page or [0] * len(self.ids)

    @property
    def weights(self) -> list[float]:
        """What each label counts: of an example that n are learned of, one over the root of n."""
        of = list(zip(self.pages, self.branch, strict=True))
        learned = [label != IGNORED for label in self.labels]
        many = Counter(one for one, is_learned in zip(of, learned, strict=True) if is_learned)
        return [
            many[one] ** -0.5 if is_learned else 0.0
            for one, is_learned in zip(of, learned, strict=True)
        ]


def packed(sheaves: Sequence[Sheaf], width: int) -> list[Sheaf]:
    """Rows of at most so many tokens, each of as many sheaves as there is room for.

    First fit, the longest first, among neighbours: whose order is kept but for that.
    """
    rows = []
    for start in range(0, len(sheaves), _NEIGHBOURS):
        some = sorted(sheaves[start : start + _NEIGHBOURS], key=lambda one: -len(one.ids))
        rows += [_row(part) for part in _fitted(some, width)]
    return rows


def _fitted(some: Sequence[Sheaf], width: int) -> list[list[Sheaf]]:
    rows: list[tuple[int, list[Sheaf]]] = []
    for one in some:
        place = next(
            (n for n, (length, _) in enumerate(rows) if length + len(one.ids) <= width), -1
        )
        if place < 0:
            rows.append((len(one.ids), [one]))
        else:
            rows[place] = (rows[place][0] + len(one.ids), [*rows[place][1], one])
    return [row for _, row in rows]


def _row(part: Sequence[Sheaf]) -> Sheaf:
    return Sheaf(
        [i for one in part for i in one.ids],
        [i for one in part for i in one.labels],
        [i for one in part for i in one.positions],
        [i for one in part for i in one.branch],
        tuple(image for one in part for image in one.images),
        [n for n, one in enumerate(part) for _ in one.ids],
    )


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
    rows, pages = (
        torch.tensor([one + [-1] * (width - len(one)) for one in some], device=device)
        for some in ([one.branch for one in batch], [one.pages for one in batch])
    )
    seen = (rows[:, None, :] == 0) | (rows[:, None, :] == rows[:, :, None])
    seen &= pages[:, None, :] == pages[:, :, None]
    seen &= torch.ones(width, width, dtype=torch.bool, device=device).tril()
    least = torch.finfo(dtype).min
    return torch.zeros(seen.shape, dtype=dtype, device=device).masked_fill(~seen, least)[:, None]
