"""What a question can be answered from: nothing, where the index is empty or a filter holds for
none of its files."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from ragvis.cli.output import notice, shown
from ragvis.types import MODALITIES

if TYPE_CHECKING:
    from ragvis.index import Index, IndexStatus
    from ragvis.types import Modality


def nothing_to_search(
    index: Index, conditions: str | None, modalities: tuple[Modality, ...] = MODALITIES
) -> str | None:
    """Why a search can find nothing, and what to do; None where it can.

    Raises:
        UsageError: the conditions are no filter.
    """
    from ragvis.index.filters import parse_filter

    status = index.status()
    held = {"text": status.passages, "image": status.images}
    if not any(held[modality] for modality in modalities):
        return _of_empty(status)
    if not conditions:
        return None
    where = parse_filter(conditions)
    holding = [m for m in MODALITIES if len(index.matching(m, where))]
    if set(holding) & set(modalities):
        return None
    if holding:
        return f"files that match the filter {conditions!r} hold nothing of that kind"
    hint = "Hits of `ragvis search` show paths; * stands for any part of one."
    return f"no file of the index matches the filter {conditions!r}. {hint}"


def tell_scope(index: Index, conditions: str | None) -> None:
    """Below a refusal: what it could be answered from, where that was not all of an index."""
    why = nothing_to_search(index, conditions)
    if why is None and conditions:
        why = f"only files that match the filter {conditions!r} were searched"
    if why is not None:
        notice(shown(why))


def _of_empty(status: IndexStatus) -> str:
    named = f"-i {shlex.quote(status.path)}"
    if status.passages or status.images:
        return "the index holds nothing of that kind"
    if status.bad_files and not status.files:
        return f"no file of the index could be read. See why: ragvis status {named}"
    if status.files:
        return f"nothing was found in the files of the index. See them: ragvis status {named}"
    return f"the index is empty. Fill it: ragvis index PATH {named}"
