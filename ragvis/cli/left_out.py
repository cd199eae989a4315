"""What is said of files that are not in an index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ragvis.cli.output import notice, shown
from ragvis.documents.unread import kinds_line, remedy_lines

if TYPE_CHECKING:
    from ragvis.index import Index
    from ragvis.types import Answer

_WHAT = {
    "links": ("symbolic link", "symbolic links"),
    "hidden": ("hidden file or folder", "hidden files and folders"),
    "special": ("special file", "special files"),
    "empty": ("empty folder", "empty folders"),
}


def unread_lines(unread: Mapping[str, int]) -> Iterator[str]:
    """Files of kinds that no reader reads, counted, and what would read them."""
    if line := kinds_line(unread):
        yield shown(line)
    for remedy in remedy_lines(unread):
        yield f"  {shown(remedy)}"


def left_out_line(left_out: Mapping[str, int]) -> str:
    """Such as ``left out: 2 symbolic links, 1 empty folder``; "" where nothing was."""
    counts = [(left_out.get(what, 0), names) for what, names in _WHAT.items()]
    named = [f"{count} {one if count == 1 else many}" for count, (one, many) in counts if count]
    return f"left out: {', '.join(named)}" if named else ""


def tell_left_out(index: Index, answer: Answer) -> None:
    """Below a refusal, a line on what the index does not hold: the answer may stand there."""
    if not answer.abstained:
        return
    held = index.counts()
    unreadable = held["bad_files"] if held["files"] else 0  # else that is said already
    parts = [kinds_line(index.unread()), _unreadable(unreadable)]
    said = " and ".join(filter(None, parts))
    if said:
        notice(f"the index does not hold {shown(said)}; `ragvis status` lists them")


def _unreadable(count: int) -> str:
    return f"{count} {'file' if count == 1 else 'files'} that could not be read" if count else ""
